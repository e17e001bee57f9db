import { defineFault } from "./fault.ts";
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
