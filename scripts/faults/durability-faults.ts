import { inMs } from "../../src/testing/product/email-requests.ts";
import { startStandby } from "../../src/testing/servers/postgres-standby.ts";
import { defineFault, type Fault } from "./fault.ts";
import { killAfterAck } from "./postgres-faults.ts";

export const commitLost = defineFault({
  name: "commit-lost",
  what: "The database's synchronous_commit off, and every process of PostgreSQL killed as soon as a 201 is read, and started again.",
  mails: { small: 40, full: 1_000 },
  parts: { postgres: "own" },
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.sql("alter database mailer set synchronous_commit = off");
    await world.start();
    await world.start({ role: "worker" });
    const rounds = world.scale === "full" ? 50 : 2;
    await world.outage(async () => {
      for (let round = 0; round < rounds; round++) {
        await killAfterAck(world, Math.ceil(world.mails / rounds));
        world.count();
        await world.postgres.restart();
      }
    });
  },
});

/** The standby lacks what is committed for so long before the primary's end. */
const lostMs = { small: 1_500, full: 5_000 };
/** Emails are due over this long; the failover is in the middle. */
const spreadMs = { small: 4_000, full: 20_000 };

function promoted(words: string, what: string, isWorkerKilled: boolean): Fault {
  return defineFault({
    name: `standby-promoted${words}`,
    what,
    mails: { small: 200, full: 5_000 },
    isLongOnly: true,
    parts: { postgres: "own", proxied: ["postgres"] },
    limits: { latenessP99Ms: 20_000, ...(isWorkerKilled ? {} : { uncertain: 0 }) },
    async run(world) {
      const standby = await startStandby(world.postgres);
      world.closeWith(() => standby.stop());
      await world.start({ role: "api" });
      const workers = [
        await world.start({ role: "worker" }),
        await world.start({ role: "worker" }),
      ];
      const spread = spreadMs[world.scale];
      const leadMs = 2_000;
      const startedAt = Date.now();
      await world.load.burst(world.mails, (index) => ({
        scheduled_at: inMs(startedAt + leadMs + (index * spread) / world.mails - Date.now()),
        on_uncertain: index % 2 === 0 ? "retry" : "hold",
      }));
      const at = startedAt + leadMs + spread / 2 - lostMs[world.scale];
      await Bun.sleep(Math.max(0, at - Date.now()));
      // Accepted emails are all there: a failover that loses some is not the question here.
      await standby.caughtUp();
      await standby.cutOff();
      const before = world.sink.acceptances.length;
      await world.outage(async () => {
        await Bun.sleep(lostMs[world.scale]);
        if (isWorkerKilled) await workers[0]?.kill();
        await world.postgres.kill();
        world.count();
        if (world.sink.acceptances.length === before) world.miss("nothing was sent that was lost");
        await standby.promote();
        world.useDatabaseAt(standby.port);
        world.proxy("postgres").reset();
      });
    },
  });
}

export const standbyPromoted = promoted(
  "",
  "The primary is killed and an asynchronous standby promoted that lacks the last moments, in which emails were sent: half of them under on_uncertain: hold. What living workers sent is sent once.",
  false,
);

export const standbyPromotedAndWorkerKilled = promoted(
  "-and-worker-killed",
  "The same, and one of the two workers is killed together with the primary: what it may have sent is held under on_uncertain: hold, else sent with an entry that says that it may be doubled.",
  true,
);
