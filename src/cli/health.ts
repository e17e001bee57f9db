import { get } from "node:http";
import { parseArgs } from "node:util";
import { type Environment, loadConfig } from "../config.ts";
import type { Command, CommandIo } from "./command.ts";

const usage = `Usage: taskforce-mailer health [--json]

Asks the server of this machine whether it would take an email now: GET /health/ready on PORT.
Exits 0 when it would and 1 when not, also after 2 seconds without an answer. Made for a
container's HEALTHCHECK. Of the settings it reads HOST and PORT only.

  --json     {"ready", "status", "url", "reason"} for programs

Examples:
  taskforce-mailer health
  PORT=8080 taskforce-mailer health --json`;

export const healthCommand: Command = {
  name: "health",
  summary: "ask the server of this machine whether it is ready",
  usage,
  run: runHealth,
};

const answerWithinMs = 2_000;
/** The answer is about 20 bytes; whatever sends more is no server of ours. */
const bodyCharactersMax = 10_000;

interface Readiness {
  ready: boolean;
  /** `ok`, `degraded` or `down` as the server says; null when it said nothing. */
  status: string | null;
  url: string;
  /** Why it is not ready, for a person; null when it is. */
  reason: string | null;
}

async function runHealth(args: string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({ args, options: { json: { type: "boolean", default: false } } });
  const readiness = await askReady(readyUrl(io.env));
  const words = readiness.ready
    ? `ready (${readiness.status})`
    : `not ready: ${readiness.reason} (${readiness.url})`;
  if (values.json) io.stdout.write(`${JSON.stringify(readiness)}\n`);
  else if (readiness.ready) io.stdout.write(`${words}\n`);
  else io.stderr.write(`health: ${words}\n`);
  return readiness.ready ? 0 : 1;
}

/**
 * Only these settings are looked at: what else may be wrong is the server's to tell, and a check
 * must work with no more of the environment than its container has.
 */
function readyUrl({ HOST, PORT }: Environment): URL {
  const { host, port } = loadConfig({ HOST, PORT }).http;
  const isWildcard = /^(0\.0\.0\.0|[0:]+)$/.test(host);
  const name = isWildcard ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return new URL(`http://${name}:${port}/health/ready`);
}

async function askReady(url: URL): Promise<Readiness> {
  const silent = { ready: false, status: null, url: url.href };
  if (url.port === "0") {
    return { ...silent, reason: "PORT is 0, which names no port: set the one it listens on" };
  }
  try {
    const { code, body } = await fetchWithin(url, answerWithinMs);
    const status = statusOf(body);
    const ready = code === 200 && status !== null;
    const said = status === null ? "something else answers there" : `it says ${status}`;
    return { ready, status, url: url.href, reason: ready ? null : `${said}, HTTP ${code}` };
  } catch (error) {
    return { ...silent, reason: error instanceof Error ? error.message : String(error) };
  }
}

function statusOf(body: string): string | null {
  try {
    const { status } = JSON.parse(body);
    return typeof status === "string" ? status : null;
  } catch {
    // No JSON, hence not the server's answer.
    return null;
  }
}

/** By node:http, since `fetch` of Bun takes HTTP_PROXY also for addresses of this machine. */
function fetchWithin(url: URL, timeoutMs: number): Promise<{ code: number; body: string }> {
  return new Promise((resolve, reject) => {
    const req = get(url, { agent: false }, (res) => {
      let body = "";
      res.setEncoding("utf8");
      res.on("data", (chunk: string) => {
        body += chunk;
        if (body.length > bodyCharactersMax) finish(new Error("something else answers there"));
      });
      res.on("end", () => finish(null, { code: res.statusCode ?? 0, body }));
      res.on("error", finish);
    });
    const late = () => finish(new Error(`no answer within ${timeoutMs / 1000} seconds`));
    const timer = setTimeout(late, timeoutMs);
    const finish = (error: Error | null, answer = { code: 0, body: "" }) => {
      clearTimeout(timer);
      req.destroy();
      if (error === null) resolve(answer);
      else reject(error);
    };
    req.on("error", finish);
  });
}
