import fc from "fast-check";
import { inMs } from "../../src/testing/product/email-requests.ts";
import { until } from "../../src/testing/servers/child-server.ts";
import { defineFault } from "./fault.ts";
import type { ChangeKind, Content } from "./load-changes.ts";
import type { World } from "./world.ts";

const roundSize = 180;
/** A change is asked at most so long before and after an email's time. */
const aroundMs = 200;
/** A round is due over so long, so that each email races on its own. */
const spreadMs = 2_000;
/** Longer than it takes to accept a round. */
const leadMs = 2_500;
/** Milliseconds that a held email waits for its release. */
const heldMs = 300;

/** Addresses that the next hop refuses once: the first attempt fails, the replay is taken. */
const refusedOnce = "gone-once";

/** One email of a round, and what is done to it around its time. */
interface Subject {
  id: string;
  name: string;
}

type Play = (world: World, subject: Subject) => Promise<unknown>;

function contentOf(name: string, version: number): Content {
  const words = `${name} version ${version}`;
  const place = name.includes(refusedOnce) && version === 0 ? refusedOnce : `version-${version}`;
  return { subject: words, body: words, recipients: [`${place}-${name}@example.test`] };
}

const hold: Play = (world, { id }) => asked(world, "hold", () => world.load.hold(id));

const holdAndRelease: Play = async (world, { id }) => {
  if (!(await hold(world, { id, name: "" }))) return;
  await Bun.sleep(heldMs);
  await asked(world, "release", () => world.load.release(id));
};

const patchTwice: Play = async (world, { id, name }) => {
  await asked(world, "patch", () => world.load.patch(id, contentOf(name, 1)));
  await asked(world, "patch", () => world.load.patch(id, contentOf(name, 2)));
};

const patchWhileHeld: Play = async (world, { id, name }) => {
  if (!(await asked(world, "hold", () => world.load.hold(id)))) return;
  await asked(world, "patch", () => world.load.patch(id, contentOf(name, 1)));
  await asked(world, "release", () => world.load.release(id));
};

/** Two people press the same button; one email more is what both asked for. */
const replayTwice: Play = async (world, { id }) => {
  await until("it has failed", async () => (await stateOf(world, id)) === "failed", 20_000);
  await Promise.all([1, 2].map(() => asked(world, "replay", () => world.load.replay(id))));
};

/** From before its time on, until it has been sent and its content may go. */
const shred: Play = async (world, { id }) => {
  await until("it is shredded", () => asked(world, "shred", () => world.load.shred(id)), 20_000);
};

const plays: Play[] = [hold, holdAndRelease, patchTwice, patchWhileHeld, replayTwice, shred];

/** After a 503 a caller asks again, as its Retry-After says; the oracle knows that it may have happened. */
const askedMax = 4;
const askAgainMs = 1_000;

/** Whether it was answered 200. */
async function asked(world: World, kind: ChangeKind, ask: () => Promise<number>): Promise<boolean> {
  let status = await ask();
  for (let count = 1; status === 503 && count < askedMax; count += 1) {
    await Bun.sleep(askAgainMs);
    status = await ask();
  }
  if (status !== 200 && status !== 409) world.miss(`a ${kind} was answered ${status}`);
  return status === 200;
}

async function stateOf(world: World, id: string): Promise<string | undefined> {
  const [row] = await world.sql<{ state: string }>(
    "select state from mailer.emails where id = $1",
    [id],
  );
  return row?.state;
}

async function changeAround(world: World, round: number): Promise<void> {
  const nameOf = (index: number) =>
    `${plays[index % plays.length] === replayTwice ? refusedOnce : "race"}-${round}-${index}`;
  const dueAt = Date.now() + leadMs;
  const offsets = world.draw(fc.integer({ min: -aroundMs, max: aroundMs }), roundSize);
  const times = world.draw(fc.integer({ min: 0, max: spreadMs }), roundSize);
  const ids = await world.load.burst(roundSize, (index) => ({
    ...contentOf(nameOf(index), 0),
    scheduled_at: inMs(dueAt + (times[index] ?? 0) - Date.now()),
  }));
  if (Date.now() > dueAt - aroundMs) world.miss(`round ${round} was accepted too late to race`);
  await Promise.all(
    ids.map(async (id, index) => {
      const at = dueAt + (times[index] ?? 0) + (offsets[index] ?? 0);
      await Bun.sleep(Math.max(0, at - Date.now()));
      await plays[index % plays.length]?.(world, { id, name: nameOf(index) });
    }),
  );
}

export const changeRace = defineFault({
  name: "changes-around-due-time",
  what: "Every email is held, held and released, changed twice, changed while held, replayed by two people at once after a failure, or shredded, at a random moment within 200 ms of its time; what was answered 200 holds.",
  mails: { small: roundSize, full: 6_120 },
  parts: { sink: { isLoggingMessages: true } },
  limits: { latenessP99Ms: 3_000 },
  async run(world) {
    const refused = new Set<string>();
    world.sink.setRules(({ phase, argument }) => {
      if (phase !== "rcpt" || !argument.includes(refusedOnce) || refused.has(argument)) return null;
      refused.add(argument);
      return { do: "reply", text: "550 5.1.1 Nobody of that name" };
    });
    await Promise.all([world.start({ role: "api" }), world.start({ role: "worker" })]);
    for (let round = 0; round * roundSize < world.mails; round++) await changeAround(world, round);
    const kinds: ChangeKind[] = ["hold", "release", "patch", "replay", "shred"];
    for (const kind of kinds) {
      const acked = world.load.changes.filter((one) => one.kind === kind && one.ackedAt !== null);
      if (acked.length === 0) world.miss(`no ${kind} was answered 200: nothing raced`);
      world.count(acked.length);
    }
  },
});
