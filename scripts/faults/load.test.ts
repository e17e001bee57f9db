import { afterEach, expect, test } from "bun:test";
import { inMs } from "../../src/testing/product/email-requests.ts";
import { createLoad } from "./load.ts";

let server: Bun.Server<undefined> | null = null;
afterEach(() => server?.stop(true));

/** Answers one request after the other, the last answer again and again. */
function serving(answers: [status: number, text: string][]) {
  const seen: { key: string | null; body: Record<string, unknown> }[] = [];
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(req) {
      const body = (await req.json()) as Record<string, unknown>;
      seen.push({ key: req.headers.get("idempotency-key"), body });
      const [status, text] = answers[seen.length - 1] ?? answers.at(-1) ?? [500, "{}"];
      return new Response(text, { status, headers: { "content-type": "application/json" } });
    },
  });
  return { seen, load: createLoad(() => `http://127.0.0.1:${server?.port}`, ["token"]) };
}

const accepted = JSON.stringify({ data: { id: "one" } });
const past = JSON.stringify({ detail: "scheduled_at: more than 60 s in the past" });
const timed = () => ({ scheduled_at: inMs(2_000) });

test("an email whose time passed during an outage is asked for anew, for now", async () => {
  const { seen, load } = serving([
    [503, "{}"],
    [422, past],
    [201, accepted],
  ]);
  await load.steady({ count: 1, perSecond: 100, fields: timed });
  expect(seen.map(({ key }) => key === seen[0]?.key)).toEqual([true, true, false]);
  expect(seen[2]?.body.scheduled_at).toBeUndefined();
  expect(load.acks.get("one")?.scheduledAt).toBeNull();
});

test("a refusal at the first try ends the run", async () => {
  const { seen, load } = serving([[422, past]]);
  const run = load.steady({ count: 1, perSecond: 100, fields: timed });
  await expect(run).rejects.toThrow("answered 422");
  expect(seen).toHaveLength(1);
});
