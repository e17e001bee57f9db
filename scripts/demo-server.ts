import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Product, startProduct } from "../src/testing/product/product.ts";
import { createSmtpSink, type SmtpSink } from "../src/testing/servers/smtp-sink.ts";
import type { Narrator } from "./demo-narrator.ts";

export interface Answer {
  status: number;
  // The demo shows what it gets; each scenario says what it expects of it.
  body: { data?: unknown; code?: string; detail?: string };
}

/** The server of the story: one that ran before us, or one of our own. */
export interface DemoServer {
  readonly url: string;
  /** The next hop, when the server is ours: it takes every message. */
  readonly sink: SmtpSink | null;
  request(method: string, path: string, body?: unknown): Promise<Answer>;
  /** Stops our own server and starts it again on the same folder; false when it is not ours. */
  restart(): Promise<boolean>;
  close(): Promise<void>;
}

interface FindOptions {
  narrator: Narrator;
  isOwn: boolean;
}

export async function findServer({ narrator, isOwn }: FindOptions): Promise<DemoServer> {
  const asked = process.env.BASE_URL;
  const baseUrl = (asked ?? "http://127.0.0.1:3000").replace(/\/$/, "");
  if (!isOwn && (await isTaskforceMailer(baseUrl))) {
    narrator.say(`Using the server at ${baseUrl}.`);
    return runningServer(baseUrl, process.env.TOKEN ?? askForToken());
  }
  if (!isOwn && asked !== undefined) throw new Error(`no Taskforce Mailer answers at ${asked}`);
  narrator.say("Starting a server for this demo, with a temporary folder and its own next hop.");
  return ownServer();
}

async function isTaskforceMailer(baseUrl: string): Promise<boolean> {
  try {
    const res = await fetch(`${baseUrl}/health`, { signal: AbortSignal.timeout(5_000) });
    const health: unknown = await res.json();
    return typeof health === "object" && health !== null && "components" in health;
  } catch {
    // Nothing listens there, or something that is not ours.
    return false;
  }
}

/** The binary's own `token` command finds the secret where the server does. */
function askForToken(): string {
  const binary = resolve(process.env.TASKFORCE_MAILER_BIN ?? "dist/taskforce-mailer");
  const { status, stdout, stderr } = spawnSync(binary, ["token", "--sub", "demo", "--ttl", "1d"]);
  if (status !== 0) {
    throw new Error(`no token: ${stderr}\nSet TOKEN, or DATA_DIR or JWT_SECRET as the server has.`);
  }
  return stdout.toString().trim();
}

function runningServer(url: string, token: string): DemoServer {
  return {
    url,
    sink: null,
    request: (method, path, body) => request(url, token, method, path, body),
    restart: async () => false,
    close: async () => {},
  };
}

async function ownServer(): Promise<DemoServer> {
  const dataDir = await mkdtemp(join(tmpdir(), "taskforce-mailer-demo-"));
  const sink = await createSmtpSink();
  const env = {
    SMTP_HOST: sink.host,
    SMTP_PORT: String(sink.port),
    SMTP_FROM: "demo@example.test",
    // Minutes become seconds, so that a retry can be watched.
    RETRY_BASE_MS: "1000",
  };
  let product: Product = await startProduct({ dataDir, env });
  const token = await product.token("demo");
  return {
    get url() {
      return product.url;
    },
    sink,
    request: (method, path, body) => request(product.url, token, method, path, body),
    async restart() {
      await product.stop();
      product = await startProduct({ dataDir, env });
      return true;
    },
    async close() {
      await product.stop();
      await sink.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function request(
  url: string,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const res = await fetch(`${url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  });
  return { status: res.status, body: (await res.json()) as Answer["body"] };
}
