import { request } from "node:http";
import { request as requestTls } from "node:https";
import { Readable } from "node:stream";

const local: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"]);

/**
 * `fetch`, but for addresses of this machine by node:http and node:https: Bun's `fetch` takes
 * HTTP_PROXY also for those.
 */
export async function fetchDirectly(url: string, init: RequestInit): Promise<Response> {
  const target = new URL(url);
  if (!local.has(target.hostname)) return await fetch(url, init);
  const ask = target.protocol === "https:" ? requestTls : request;
  const { method = "GET", body, signal } = init;
  const headers = Object.fromEntries(new Headers(init.headers));
  return await new Promise((resolve, reject) => {
    const req = ask(target, { method, headers, agent: false, ...(signal ? { signal } : {}) });
    req.on("error", reject);
    req.on("response", (res) => {
      const given = Object.entries(res.headers).map(([name, value]) => [name, String(value)]);
      const { statusCode: status = 0, statusMessage: statusText = "" } = res;
      const stream = Readable.toWeb(res) as unknown as ReadableStream;
      const told = { status, statusText, headers: Object.fromEntries(given) };
      resolve(new Response(status === 204 || status === 304 ? null : stream, told));
    });
    req.end(typeof body === "string" ? body : undefined);
  });
}
