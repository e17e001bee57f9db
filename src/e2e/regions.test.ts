import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import pg from "pg";
import {
  inMs,
  schedule,
  scheduleBatch,
  statusOf,
  subjectOf,
} from "../testing/product/email-requests.ts";
import { startTwoRegions, type TwoRegions } from "../testing/product/two-regions.ts";

setDefaultTimeout(120_000);

let regions: TwoRegions;
let sql: pg.Client;
beforeAll(async () => {
  regions = await startTwoRegions();
  sql = new pg.Client({ connectionString: regions.stack.databaseUrl });
  await sql.connect();
});
afterAll(async () => {
  await sql?.end();
  await regions?.close();
});

const acceptedOf = (prefix: string) =>
  regions.stack.sink.acceptances.map(subjectOf).filter((subject) => subject.startsWith(prefix));

test("what a dead region had is sent once by another; nothing of it is sent again when it returns", async () => {
  const a = await regions.start("a");
  const b = await regions.start("b");
  const subjects = Array.from({ length: 20 }, (_, index) => `Of a ${index}`);
  const ids = await scheduleBatch(a, subjects, { scheduled_at: inMs(4_000) });
  await a.kill();
  await regions.redis.a.kill();
  // As if it had been silent for a minute; the real minute is awaited in regions.long.ts.
  await sql.query("update mailer.regions set beat_at = beat_at - interval '1 minute'");
  for (const id of ids) {
    const status = await statusOf(b, id, ["sent"], 60_000);
    expect(status.attempts).toMatchObject([{ region: "b", outcome: "sent" }]);
  }
  await regions.redis.a.restart();
  const back = await regions.start("a");
  const last = await schedule(back, { subject: "Back in a" });
  await statusOf(back, last, ["sent"], 30_000);
  expect(acceptedOf("Of a").sort()).toEqual([...subjects].sort());
  await back.kill();
  await b.kill();
});

test("an email for another region goes out there", async () => {
  const a = await regions.start("a");
  const b = await regions.start("b");
  // Known to a once its reconciler has looked.
  let id = "";
  const until = Date.now() + 20_000;
  while (id === "" && Date.now() < until) {
    const answer = await a.api("POST", "/api/v1/schedule-mail", {
      recipients: ["bob@example.test"],
      subject: "For b",
      body: "A few words.",
      region: "b",
    });
    if (answer.status === 201) id = answer.body.data.id;
    else await Bun.sleep(100);
  }
  const status = await statusOf(a, id, ["sent"], 30_000);
  expect(status.attempts).toMatchObject([{ region: "b", outcome: "sent" }]);
  expect(acceptedOf("For b")).toHaveLength(1);
  await a.kill();
  await b.kill();
});

test("two regions that race for the same emails send each of them once", async () => {
  // A next hop that takes its time, and few workers: most emails are due and wait.
  regions.stack.sink.setRules(({ phase }) =>
    phase === "dot" ? { do: "wait", until: Bun.sleep(50) } : null,
  );
  const few = { WORKER_CONCURRENCY: "2", RECONCILE_INTERVAL_MS: "200" };
  const a = await regions.start("a", few);
  const b = await regions.start("b", few);
  // Ten seconds of work: the other region claims once a second, about sixteen at a time.
  const subjects = Array.from({ length: 400 }, (_, index) => `Race ${index}`);
  const ids = await scheduleBatch(a, subjects, { scheduled_at: inMs(7_000) });
  // Now and then each thinks the other silent, until its next beat, while both live and send.
  const isOver = { value: false };
  const silencer = (async () => {
    while (!isOver.value) {
      await sql.query("update mailer.regions set beat_at = beat_at - interval '2 minutes'");
      await Bun.sleep(300);
    }
  })();
  for (const id of ids) await statusOf(b, id, ["sent"], 60_000);
  isOver.value = true;
  await silencer;
  expect(acceptedOf("Race").sort()).toEqual([...subjects].sort());
  const { rows } = await sql.query(
    `select count(*)::integer as helped from mailer.attempts a join mailer.emails e on e.id = a.email_id
     where a.region <> e.region and e.id = any ($1)`,
    [ids],
  );
  expect(rows[0].helped).toBeGreaterThan(20);
  await a.kill();
  await b.kill();
});
