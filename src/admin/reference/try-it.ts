import type { Context, Hono } from "hono";
import type { Principal } from "../../auth/principal.ts";
import type { Visitors } from "../session/visitor.ts";

export interface TryItDeps {
  visitors: Pick<Visitors, "recognise" | "isOwnChange">;
  /** Answers a request to the API on behalf of somebody who has been recognised already. */
  call: (request: Request, principal: Principal, c: Context) => Promise<Response>;
}

const methods: ReadonlySet<unknown> = new Set(["GET", "POST", "PATCH", "PUT", "DELETE"]);
const bodyBytesMax = 2 * 1024 * 1024;

/**
 * POST /docs/api/try: sends what a reader of the reference has filled in, by the reader's own
 * session. The session's cookie is no credential of the API, lest other pages use it; so this asks
 * where the request comes from first. Whatever the API answers is the answer.
 */
export function mountTryIt(app: Hono, { visitors, call }: TryItDeps): void {
  app.post("/docs/api/try", async (c) => {
    if (!visitors.isOwnChange(c)) return c.text("This is for our own pages.", 403);
    const visitor = await visitors.recognise(c);
    if (visitor === null || visitor === "refused") return c.text("Sign in first.", 401);
    if (Number(c.req.header("content-length") ?? Number.NaN) > bodyBytesMax) {
      return c.text("This is too large to be tried here.", 413);
    }
    const asked = readAsked(await c.req.json().catch(() => null));
    if (asked === null) return c.text("Expected method, path and body.", 400);
    const { method, path, body } = asked;
    const headers = new Headers(body === null ? {} : { "content-type": "application/json" });
    for (const name of ["host", "x-forwarded-for", "x-forwarded-proto"]) {
      const value = c.req.header(name);
      if (value !== undefined) headers.set(name, value);
    }
    const request = new Request(new URL(path, c.req.url), { method, headers, body });
    return await call(request, visitor, c);
  });
}

function readAsked(json: unknown): { method: string; path: string; body: string | null } | null {
  const { method, path, body = null } = Object(json) as Record<string, unknown>;
  const isPath = typeof path === "string" && /^\/(?!\/|docs\/)[\x21-\x7e]{0,4000}$/.test(path);
  if (!methods.has(method) || !isPath || !(body === null || typeof body === "string")) return null;
  return { method: method as string, path, body: method === "GET" ? null : body };
}
