import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { asChild, guardFolder, privateFolder, until } from "../servers/child-server.ts";
import type { ApiAnswer, EmailAnswer } from "./product-answers.ts";

export interface ProductOptions {
  /** Arguments of `serve`. */
  serveArgs?: string[];
  /** Added to an otherwise empty environment (PATH, PORT=0, DATA_DIR). */
  env?: Record<string, string>;
  /** Default: a temporary folder, which stays for a restart and goes with the test process. */
  dataDir?: string;
  /** The compiled binary; default TASKFORCE_MAILER_BIN, then dist/taskforce-mailer. */
  bin?: string;
  /** How long it may take until it listens and is ready. */
  startTimeoutMs?: number;
  /** Told at once how to kill it, before it is ready. */
  onSpawn?: (kill: () => void) => void;
  /** False: returns as soon as it listens, which is before its database is prepared. */
  isReadyAwaited?: boolean;
}

/** The compiled binary, running `serve` as an operator would run it. */
export interface Product {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly dataDir: string;
  /** A JWT as the binary's own `token` command prints it. */
  token(sub: string, role?: string): Promise<string>;
  /** A request as `sub` (default `ada`); something that looks like a JWT is sent as it is. */
  api<Data = EmailAnswer>(
    method: string,
    path: string,
    body?: unknown,
    as?: string,
  ): Promise<ApiAnswer<Data>>;
  /** SIGTERM, then waits for the exit. */
  stop(): Promise<{ code: number | null; tookMs: number }>;
  /** SIGKILL, then waits until it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  freeze(): void;
  thaw(): void;
  /** Everything it wrote so far, stdout and stderr together. */
  output(): string;
  /** Resolves with the exit code. */
  readonly exited: Promise<number | null>;
}

/** Where the binary is that the end-to-end tests run. */
export function productBinary(): string {
  return resolve(process.env.TASKFORCE_MAILER_BIN ?? "dist/taskforce-mailer");
}

/** One that dies, hangs or fails where `FAIL_POINTS` says; `scripts/build --fail-points` makes it. */
export const faultyBinary = resolve("dist/taskforce-mailer-faults");

/** A new folder that is removed when this process ends, however it ends. */
export function guardedFolder(kind: string): string {
  const folder = privateFolder(kind);
  mkdirSync(folder, { recursive: true });
  guardFolder(folder);
  return folder;
}

/** Runs the binary with `args`; does not wait for anything. It dies with the test process. */
export function spawnProduct(args: string[], options: ProductOptions = {}) {
  const dataDir = options.dataDir ?? guardedFolder("product");
  // Tests ask as fast as they can, with one credential.
  const settings = { PORT: "0", DATA_DIR: dataDir, RATE_LIMIT_PER_MINUTE: "0" };
  const env = { PATH: process.env.PATH ?? "", ...settings, ...options.env };
  const command = asChild([options.bin ?? productBinary(), ...args], "SIGKILL", null);
  const child = Bun.spawn(command, {
    cwd: dataDir,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const words: string[] = [];
  const drained = Promise.all([collect(child.stdout, words), collect(child.stderr, words)]);
  const exited = child.exited.then(async () => {
    await drained;
    return child.exitCode;
  });
  return { child, dataDir, env, output: () => words.join(""), exited };
}

type Run = ReturnType<typeof spawnProduct>;

/** Runs a command of the binary to its end. */
export async function runProduct(args: string[], options: ProductOptions = {}) {
  const { exited, output } = spawnProduct(args, options);
  return { code: await exited, output: output() };
}

/** Starts `serve` and resolves once it accepts emails. */
export async function startProduct(options: ProductOptions = {}): Promise<Product> {
  const run = spawnProduct(["serve", ...(options.serveArgs ?? [])], options);
  const { child, dataDir, output, exited } = run;
  options.onSpawn?.(() => child.kill("SIGKILL"));
  const timeoutMs = options.startTimeoutMs ?? 60_000;
  const { url, port } = await listening(run, timeoutMs);
  if (options.isReadyAwaited !== false) await ready(run, url, timeoutMs);
  const token = tokens({ ...options, dataDir });
  return {
    url,
    port,
    pid: child.pid,
    dataDir,
    token,
    exited,
    output,
    async api<Data>(method: string, path: string, body?: unknown, as = "ada") {
      const bearer = isJwt(as) ? as : await token(as);
      return request<Data>(`${url}${path}`, method, bearer, body);
    },
    async stop() {
      const startedAt = performance.now();
      child.kill("SIGTERM");
      const code = await exited;
      return { code, tookMs: performance.now() - startedAt };
    },
    async kill() {
      child.kill("SIGKILL");
      await exited;
    },
    freeze: () => child.kill("SIGSTOP"),
    thaw: () => child.kill("SIGCONT"),
  };
}

async function listening(run: Run, timeoutMs: number) {
  let hasEnded = false;
  void run.exited.then(() => {
    hasEnded = true;
  });
  await until(
    "serve says that it listens",
    () => hasEnded || listeningLine(run.output()) !== null,
    timeoutMs,
  ).catch((error: unknown) => {
    throw new Error(`${error}\n${run.output()}`);
  });
  const address = listeningLine(run.output());
  if (address === null) throw new Error(`serve ended at once:\n${run.output()}`);
  return address;
}

async function ready(run: Run, url: string, timeoutMs: number): Promise<void> {
  let hasEnded = false;
  void run.exited.then(() => {
    hasEnded = true;
  });
  await until("serve is ready", async () => hasEnded || (await isReady(url)), timeoutMs).catch(
    (error: unknown) => {
      throw new Error(`${error}\n${run.output()}`);
    },
  );
  if (hasEnded) throw new Error(`serve ended before it was ready:\n${run.output()}`);
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health/ready`)).status === 200;
  } catch {
    // It ended, or is not there yet: the deadline will tell.
    return false;
  }
}

/** The log line whose `event` is `listening`; lines beside it may be words for people. */
function listeningLine(output: string): { url: string; port: number } | null {
  for (const line of output.split("\n").slice(0, -1)) {
    if (!line.startsWith("{") || !line.includes('"listening"')) continue;
    const { event, url, port } = JSON.parse(line);
    if (event === "listening") return { url: String(url).replace(/\/$/, ""), port: Number(port) };
  }
  return null;
}

/** Asks the `token` command once for each subject and role. */
function tokens(options: ProductOptions): Product["token"] {
  const known = new Map<string, Promise<string>>();
  async function print(sub: string, role: string | undefined): Promise<string> {
    const withRole = role === undefined ? [] : ["--role", role];
    const { code, output } = await runProduct(["token", "--sub", sub, ...withRole], options);
    if (code !== 0 || !isJwt(output.trim())) throw new Error(`token failed (${code}): ${output}`);
    return output.trim();
  }
  return (sub, role) => {
    const key = JSON.stringify([sub, role]);
    const token = known.get(key) ?? print(sub, role);
    known.set(key, token);
    return token;
  };
}

async function request<Data>(
  url: string,
  method: string,
  bearer: string,
  body: unknown,
): Promise<ApiAnswer<Data>> {
  const headers = new Headers({ authorization: `Bearer ${bearer}` });
  if (body !== undefined) headers.set("content-type", "application/json");
  const res = await fetch(url, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(45_000),
  });
  const text = await res.text();
  const isJson = res.headers.get("content-type")?.includes("json") ?? false;
  return {
    status: res.status,
    headers: res.headers,
    text,
    body: isJson ? JSON.parse(text) : {},
  };
}

function isJwt(text: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);
}

async function collect(stream: ReadableStream<Uint8Array>, into: string[]): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) into.push(decoder.decode(chunk, { stream: true }));
}
