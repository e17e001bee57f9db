import { inMs } from "../../src/testing/product/email-requests.ts";
import { faultyBinary } from "../../src/testing/product/product.ts";
import { until } from "../../src/testing/servers/child-server.ts";
import { defineFault, type Fault } from "./fault.ts";
import { killNoting, replace } from "./harm.ts";
import type { ProductProcess, World } from "./world.ts";

/** The next hop takes so long at the dot: a flood through 20 connections is 20 a second. */
const dotMs = 1_000;
/** A kill counts when so many emails at least wait in the memory of its victim. */
const heldMin = 60;
/** Deaths after which the email that causes them must be held. */
const deathsMax = 6;

function slowDots(world: World): void {
  world.sink.setRules(({ phase }) =>
    phase === "dot" ? { do: "wait", until: Bun.sleep(dotMs) } : null,
  );
}

/** One email a second of a second owner, who has nothing to do with what happens. */
function bystanders(world: World, seconds: number): Promise<unknown> {
  return world.others.steady({
    count: seconds,
    perSecond: 1,
    fields: () => ({ scheduled_at: inMs(1_000) }),
  });
}

async function isHeld(world: World, id: string): Promise<boolean> {
  const [row] = await world.sql<{ state: string }>(
    "select state from mailer.emails where id = $1",
    [id],
  );
  return row?.state === "held";
}

/** One worker after the other that dies within 5 ms of the poison's turn, until it is held. */
async function dieOf(world: World, poison: string): Promise<void> {
  const env = { FAIL_POINTS: `connect.before=kill#${poison}` };
  const deaths = () => world.poison.get(poison) ?? 0;
  while (deaths() <= deathsMax && !(await isHeld(world, poison))) {
    const worker = await world.start({
      role: "worker",
      bin: faultyBinary,
      env,
      // It may be dead before anybody could have asked.
      isReadyAwaited: false,
    });
    await until(
      "it dies, or the poison is held",
      async () => worker.hasEnded || deaths() > deathsMax || (await isHeld(world, poison)),
      90_000,
    );
    if (!worker.hasEnded) return;
    world.poison.set(poison, deaths() + 1);
    world.count();
  }
}

/** A death is noticed after 5 s, and what the dead held goes on; small is taken six times. */
const noticedMs = { small: 1_500, full: 8_000 };

/** 3,000 mails through 20 connections of a next hop that takes a second for each are 150 s. */
const floodLatenessMs = { small: 20_000, full: 240_000 };

function poisoned(name: string, what: string, flood: Fault["mails"]): Fault {
  return defineFault({
    name,
    what,
    mails: flood,
    isLongOnly: true,
    limits: { latenessP99Ms: floodLatenessMs, othersLatenessP99Ms: noticedMs },
    async run(world) {
      slowDots(world);
      const api = await world.start({ role: "api" });
      const dueAt = inMs(3_000);
      const ids = await world.load.burst(
        world.mails,
        () => ({ scheduled_at: dueAt }),
        () => api.url,
      );
      const poison = ids[Math.floor(ids.length / 2)] ?? "";
      world.poison.set(poison, 0);
      const others = bystanders(world, 30);
      // Two at a time, so that one sends while the other's death is not noticed yet.
      await Promise.all([dieOf(world, poison), dieOf(world, poison)]);
      // The rest goes out through a worker that knows nothing of the poison.
      await world.start({ role: "worker" });
      await others;
    },
  });
}

export const poisonAlone = poisoned(
  "poison-alone",
  "One email among few kills its worker within 5 ms of its turn, again and again: it is held after at most 6 deaths, nobody else is.",
  { small: 5, full: 5 },
);

export const poisonInFlood = poisoned(
  "poison-in-a-flood",
  "The same in the middle of a flood that waits in the workers' memory.",
  { small: 300, full: 3_000 },
);

/** Claimed by a worker and not fenced: what its death leaves to others. */
async function heldBy(world: World, { workerId }: ProductProcess): Promise<number> {
  const [row] = await world.sql<{ count: number }>(
    `select count(*)::int as count from mailer.emails
     where state = 'sending' and worker_id = $1 and fenced_at is null`,
    [workerId],
  );
  return row?.count ?? 0;
}

function killed(words: string, kills: number): Fault {
  return defineFault({
    name: `killed-${words}-in-a-flood`,
    what: `SIGKILL ${kills} times in one flood to the process that sends it, from outside: no email is to blame, so none is held and none is sent by itself; a second owner's mail is as punctual as ever.`,
    mails: { small: 400 + kills * 100, full: 5_000 },
    isLongOnly: true,
    limits: {
      // Each kill costs the 5 s until its worker counts as dead; the rest is the flood's length.
      latenessP99Ms: { small: 30_000, full: 400_000 },
      othersLatenessP99Ms: 2_000,
    },
    async run(world) {
      slowDots(world);
      let worker = await world.start();
      await world.load.burst(world.mails);
      for (let kill = 0; kill < kills; kill++) {
        const victim = worker;
        // Fewer may be left to claim when the product sends one at a time, which is judged below.
        await until(
          "a flood waits in its memory",
          async () => (await heldBy(world, victim)) >= heldMin,
          15_000,
        ).catch(() => undefined);
        await killNoting(world, victim);
        worker = await replace(world, victim);
      }
      await bystanders(world, 20);
    },
  });
}

export const killedTwice = killed("twice", 2);
export const killedFiveTimes = killed("five-times", 5);
