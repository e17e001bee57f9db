import { expect, test } from "bun:test";
import { Hono } from "hono";
import type { ApiEnv } from "../api-env.ts";
import { createSecurityHeaders } from "./security-headers.ts";

function headersOf(isHttps: boolean, path: string): Promise<Headers> {
  const app = new Hono<ApiEnv>();
  app.use(createSecurityHeaders(() => isHttps));
  app.get("*", (c) => c.text("x", 200, { "Referrer-Policy": "same-origin" }));
  return Promise.resolve(app.request(path)).then(({ headers }) => headers);
}

test("browsers are told to stay with https only where they came by it", async () => {
  const name = "Strict-Transport-Security";
  expect((await headersOf(false, "/")).get(name)).toBeNull();
  for (const path of ["/", "/api/v1/status/x", "/assets/style.css"]) {
    expect((await headersOf(true, path)).get(name)).toBe("max-age=31536000");
  }
});

test("every answer shuts out other sites, and what a route says itself stays", async () => {
  const headers = await headersOf(false, "/");
  expect(headers.get("Cross-Origin-Opener-Policy")).toBe("same-origin");
  expect(headers.get("Cross-Origin-Resource-Policy")).toBe("same-origin");
  expect(headers.get("Permissions-Policy")).toContain("camera=()");
  expect(headers.get("X-Frame-Options")).toBe("DENY");
  expect(headers.get("Referrer-Policy")).toBe("same-origin");
  expect(headers.get("Access-Control-Allow-Origin")).toBeNull();
});
