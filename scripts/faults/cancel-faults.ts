import fc from "fast-check";
import { inMs } from "../../src/testing/product/email-requests.ts";
import { until } from "../../src/testing/servers/child-server.ts";
import { defineFault } from "./fault.ts";
import type { World } from "./world.ts";

const roundSize = 300;
/** Cancels come at most so long before and after an email's time. */
const aroundMs = 200;
/** A round is due over so long: of 300 due at once none goes out within 200 ms, and none races. */
const spreadMs = 3_000;

/** States that explain a 409, as `cancel_email` does. */
const explains = ["sent", "partially_sent", "failed", "sending", "uncertain", "pending"];

/** Schedules a round, cancels each of its emails around its time, and returns who said no. */
async function cancelAround(world: World, round: number): Promise<string[]> {
  // Longer than it takes to accept the round: otherwise all are due, and cancelled, at once.
  const leadMs = 4_000;
  const dueAt = Date.now() + leadMs;
  const offsets = world.draw(fc.integer({ min: -aroundMs, max: aroundMs }), roundSize);
  const times = world.draw(fc.integer({ min: 0, max: spreadMs }), roundSize);
  const ids = await world.load.burst(roundSize, (index) => ({
    subject: `Round ${round}`,
    scheduled_at: inMs(dueAt + (times[index] ?? 0) - Date.now()),
  }));
  if (Date.now() > dueAt - aroundMs) world.miss(`round ${round} was accepted too late to race`);
  const refused: string[] = [];
  await Promise.all(
    ids.map(async (id, index) => {
      const at = dueAt + (times[index] ?? 0) + (offsets[index] ?? 0);
      await Bun.sleep(Math.max(0, at - Date.now()));
      const status = await world.load.cancel(id);
      if (status === 409) refused.push(id);
      else if (status !== 200) world.miss(`a cancel was answered ${status}`);
    }),
  );
  return refused;
}

export const cancelRace = defineFault({
  name: "cancels-around-due-time",
  what: "Every email is cancelled at a random moment within 200 ms of its time; what was answered 200 is never sent, and each 409 is explained by what became of the email.",
  mails: { small: 300, full: 50_000 },
  limits: { latenessP99Ms: 2_000 },
  async run(world) {
    await world.start({ role: "api" });
    await world.start({ role: "worker" });
    const refused: string[] = [];
    for (let round = 0; round * roundSize < world.mails; round++) {
      refused.push(...(await cancelAround(world, round)));
      world.say(`${world.load.acks.size} emails, ${world.load.cancelled.size} cancelled`);
    }
    world.count(world.load.cancelled.size);
    await until("no refused email is under way", () => isSettled(world, refused), 60_000).catch(
      () => world.miss("a 409 of an email that was never sent"),
    );
    const unexplained = await world.sql<{ id: string; state: string }>(
      "select id, state from mailer.emails where id = any ($1) and state <> all ($2)",
      [refused, explains],
    );
    for (const { id, state } of unexplained) world.miss(`409, but ${id} is ${state}`);
    if (refused.length === 0 || world.load.cancelled.size === 0) {
      world.miss("no race: one side won every time");
    }
  },
});

async function isSettled(world: World, ids: string[]): Promise<boolean> {
  const [row] = await world.sql<{ count: number }>(
    `select count(*)::int as count from mailer.emails
     where id = any ($1) and state in ('sending', 'pending')`,
    [ids],
  );
  return row?.count === 0;
}
