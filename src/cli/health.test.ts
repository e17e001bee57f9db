import { afterAll, describe, expect, test } from "bun:test";
import { createServer as createTcpServer } from "node:net";
import { freePort } from "../testing/servers/child-server.ts";
import { runCommand } from "./command.ts";
import { healthCommand } from "./health.ts";

const servers: { stop(force: boolean): unknown }[] = [];
afterAll(async () => {
  for (const server of servers) await server.stop(true);
});

/** Answers every path but /health/ready with 500, so that a wrong path shows. */
function serverSaying(body: string, status = 200, headers: Record<string, string> = {}): number {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (req) => {
      const isReady = new URL(req.url).pathname === "/health/ready";
      return new Response(body, { status: isReady ? status : 500, headers });
    },
  });
  servers.push(server);
  return Number(server.port);
}

async function run(env: Record<string, string>, args: string[] = []) {
  const written = { stdout: "", stderr: "" };
  const writer = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const io = { stdout: writer("stdout"), stderr: writer("stderr"), isTty: false, env };
  const code = await runCommand(healthCommand, args, io);
  return { code, ...written };
}

describe("exit 0", () => {
  test("when the server of this machine is ready, be it degraded", async () => {
    for (const status of ["ok", "degraded"]) {
      const port = serverSaying(JSON.stringify({ status }));
      const answer = await run({ PORT: `${port}` });
      expect(answer).toEqual({ code: 0, stdout: `ready (${status})\n`, stderr: "" });
    }
  });

  test("whatever else in the environment is missing or wrong", async () => {
    const PORT = `${serverSaying('{"status":"ok"}')}`;
    const env = { PORT, NODE_ENV: "production", DATABASE_URL: "nonsense", JWT_SECRET: "short" };
    expect(await run(env)).toMatchObject({ code: 0, stderr: "" });
  });

  test("for every way to listen on all addresses", async () => {
    const PORT = `${serverSaying('{"status":"ok"}')}`;
    for (const HOST of ["0.0.0.0", "::", "0:0:0:0:0:0:0:0", "127.0.0.1", "localhost", ""]) {
      expect(await run({ PORT, HOST })).toMatchObject({ code: 0, stderr: "" });
    }
  });

  test("behind a proxy for everybody else", async () => {
    const PORT = `${serverSaying('{"status":"ok"}')}`;
    const proxy = `http://127.0.0.1:${await freePort()}`;
    const script = `import { healthCommand } from "${import.meta.dir}/health.ts";
      const { stdout, stderr, env } = process;
      process.exit(await healthCommand.run([], { stdout, stderr, env, isTty: false }));`;
    const env = { PATH: process.env.PATH ?? "", PORT, HTTP_PROXY: proxy, http_proxy: proxy };
    const child = Bun.spawn([process.execPath, "-e", script], { env, stderr: "pipe" });
    expect(await new Response(child.stderr).text()).toBe("");
    expect(await child.exited).toBe(0);
  });

  test("--json tells programs", async () => {
    const port = serverSaying('{"status":"ok"}');
    const { stdout } = await run({ PORT: `${port}` }, ["--json"]);
    const url = `http://127.0.0.1:${port}/health/ready`;
    expect(JSON.parse(stdout)).toEqual({ ready: true, status: "ok", url, reason: null });
  });
});

describe("exit 1, with the reason", () => {
  test("when it says that it is not ready", async () => {
    const port = serverSaying('{"status":"down"}', 503);
    const { code, stdout, stderr } = await run({ PORT: `${port}` });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("it says down, HTTP 503");
  });

  test("when nothing listens", async () => {
    const { code, stdout, stderr } = await run({ PORT: `${await freePort()}` });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^health: not ready: .+\/health\/ready\)\n$/);
  });

  test("when it takes the question and stays silent, after two seconds", async () => {
    const server = createTcpServer(() => {}).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    const startedAt = performance.now();
    const { code, stderr } = await run({ PORT: `${port}` });
    server.close();
    expect(code).toBe(1);
    expect(stderr).toContain("no answer within 2 seconds");
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1_990);
    expect(performance.now() - startedAt).toBeLessThan(6_000);
  });

  test("when something else answers on the port, or sends us elsewhere", async () => {
    const ready = serverSaying('{"status":"ok"}');
    const redirect = { location: `http://127.0.0.1:${ready}/health/ready` };
    for (const port of [
      serverSaying("<h1>It works!</h1>"),
      serverSaying("{}"),
      serverSaying("", 302, redirect),
      serverSaying("x".repeat(100_000)),
    ]) {
      const { code, stderr } = await run({ PORT: `${port}` });
      expect([code, stderr.includes("something else answers there")]).toEqual([1, true]);
    }
  });

  test("when PORT or HOST is none, as every command reports it", async () => {
    const { code, stderr } = await run({ PORT: "http", HOST: "a b" });
    expect(code).toBe(1);
    expect(stderr).toContain("PORT");
    expect(stderr).toContain("HOST");
    expect((await run({ PORT: "0" })).stderr).toContain("names no port");
  });

  test("--json tells programs", async () => {
    const port = serverSaying('{"status":"down"}', 503);
    const { code, stdout, stderr } = await run({ PORT: `${port}` }, ["--json"]);
    expect([code, stderr]).toEqual([1, ""]);
    expect(JSON.parse(stdout)).toMatchObject({ ready: false, status: "down" });
  });
});

test("exit 2 for an argument it does not know", async () => {
  const { code, stderr } = await run({ PORT: "3000" }, ["--url", "x"]);
  expect(code).toBe(2);
  expect(stderr).toContain("Usage: taskforce-mailer health");
});
