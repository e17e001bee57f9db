import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createClient } from "../client/client.ts";
import { runCommand } from "./command.ts";
import { tailCommand } from "./tail.ts";

/** A server of events whose streams break off after two; every request is noted. */
const asked: string[] = [];
let server: ReturnType<typeof Bun.serve>;
let refuses = false;

const event = (id: number) => ({
  type: id % 2 === 0 ? "email.bounced" : "email.sent",
  timestamp: "2030-01-04T08:00:00.412Z",
  data: {
    email_id: "01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10",
    sequence: id,
    status: "sent",
    smtp_code: 250,
    reply: "OK \x1b[31mqueued",
    tags: [],
    metadata: {},
  },
});

beforeAll(() => {
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(req) {
      const { pathname, search, searchParams } = new URL(req.url);
      asked.push(`${pathname}${search}`);
      if (refuses)
        return Response.json({ code: "unauthorized", detail: "expired" }, { status: 401 });
      if (req.headers.get("accept") !== "text/event-stream") {
        const page = { limit: 1, next_cursor: null };
        return Response.json({ success: true, data: [{ id: "7", ...event(7) }], page });
      }
      const from = Number(searchParams.get("after"));
      const frames = [from + 1, from + 2].map((id) => {
        const { type } = event(id);
        return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(event(id))}\n\n`;
      });
      const headers = { "content-type": "text/event-stream" };
      return new Response(`retry: 2000\n\n: heartbeat\n\n${frames.join("")}id: 99\nda`, {
        headers,
      });
    },
  });
});
afterAll(() => server?.stop(true));

async function run(...args: string[]) {
  let stdout = "";
  const write = (text: string) => {
    stdout += text;
  };
  const env = { TASKFORCE_MAILER_URL: String(server.url), TASKFORCE_MAILER_TOKEN: "t" };
  const io = { stdout: { write }, stderr: { write: () => {} }, env, isTty: false };
  asked.length = 0;
  return { code: await runCommand(tailCommand, args, io), stdout };
}

describe("tail", () => {
  test("begins now, and goes on behind the last event when the stream breaks off", async () => {
    const { code, stdout } = await run("--count", "5", "--json", "--type", "email.sent");
    expect(code).toBe(0);
    const ids = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).id);
    expect(ids).toEqual(["8", "9", "10", "11", "12"]);
    expect(asked).toEqual([
      "/api/v1/events?limit=1",
      "/api/v1/events?type=email.sent&after=7",
      "/api/v1/events?type=email.sent&after=9",
      "/api/v1/events?type=email.sent&after=11",
    ]);
  });

  test("one line for an event, which cannot steer the terminal", async () => {
    const { stdout } = await run("--count", "1", "--after", "0");
    expect(stdout).toBe(
      "2030-01-04T08:00:00.412Z  sent         01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10  250 OK  [31mqueued\n",
    );
    expect(asked).toEqual(["/api/v1/events?after=0"]);
  });

  test("a refusal ends it, with its words", async () => {
    refuses = true;
    await expect(run("--after", "0")).rejects.toMatchObject({ code: "unauthorized" });
    refuses = false;
    expect(asked.length).toBe(1);
  });

  test("exit 2 for a count that is none", async () => {
    expect((await run("--count", "many")).code).toBe(2);
  });
});

test("follow ends with its signal, not with an event", async () => {
  const end = new AbortController();
  const mailer = createClient({ url: String(server.url) });
  const seen: string[] = [];
  const following = (async () => {
    for await (const { id } of mailer.follow({ after: "0", signal: end.signal })) {
      seen.push(id);
      if (id === "4") end.abort();
    }
  })();
  await expect(following).rejects.toMatchObject({ name: "AbortError" });
  expect(seen).toEqual(["1", "2", "3", "4"]);
});
