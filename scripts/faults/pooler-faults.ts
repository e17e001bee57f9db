import { startPgBouncer } from "../../src/testing/servers/pgbouncer.ts";
import { defineFault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";

export const throughAPooler = defineFault({
  name: "through-a-pooler",
  what: "Everything through a PgBouncer in transaction mode with four sessions, as its package sets it up.",
  mails: { small: 200, full: 5_000 },
  limits: { latenessP99Ms: 5_000, acceptP99Ms: 3_000 },
  async run(world) {
    // It ends with this process: what is under test needs it until all is at rest.
    const { url } = await startPgBouncer(world.directUrl);
    const env = { DATABASE_URL: url };
    await world.start({ env });
    await world.start({ role: "worker", env });
    world.count();
    await world.load.steady({
      count: world.mails,
      perSecond: world.mails / 4,
      fields: nowAndSoon,
    });
  },
});
