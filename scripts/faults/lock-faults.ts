import pg from "pg";
import { inMs } from "../../src/testing/product/email-requests.ts";
import { until } from "../../src/testing/servers/child-server.ts";
import { migrateAt } from "../../src/testing/servers/migrate-at.ts";
import { defineFault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";
import type { World } from "./world.ts";

/** Somebody's open transaction, past the product. */
async function openTransaction(world: World, sql: string, params: unknown[] = []) {
  const client = new pg.Client({ connectionString: world.directUrl });
  await client.connect();
  await client.query("begin");
  await client.query(sql, params);
  return {
    async end() {
      await client.query("rollback");
      await client.end();
    },
  };
}

/** The others are sent while some are locked; how late they are the row says. */
const othersTimeoutMs = 20_000;

export const rowsLocked = defineFault({
  name: "rows-locked",
  what: "Every hundredth email's row locked by somebody's open transaction from before it is due until all others are sent.",
  mails: { small: 400, full: 5_000 },
  limits: { latenessP99Ms: 5_000, recoveryP99Ms: 10_000 },
  async run(world) {
    await world.start();
    const due = inMs(2_500);
    const ids = await world.load.burst(world.mails, () => ({ scheduled_at: due }));
    const locked = ids.filter((_, index) => index % 100 === 50);
    await world.outage(async () => {
      const sql = "select from mailer.emails where id = any($1::uuid[]) for update";
      const transaction = await openTransaction(world, sql, [locked]);
      world.count(locked.length - 1);
      const others = ids.length - locked.length;
      const sent = () => world.sink.acceptances.length >= others;
      await until("the others are sent", sent, othersTimeoutMs).catch(() =>
        world.miss(`${world.sink.acceptances.length} of ${others} others sent beside locked rows`),
      );
      await transaction.end();
    });
  },
});

export const ddlBesideTraffic = defineFault({
  name: "ddl-beside-traffic",
  what: "The table of emails locked whole for two seconds, then altered by a migration while somebody's transaction reads it, both beside traffic.",
  mails: { small: 150, full: 3_000 },
  limits: { acceptP99Ms: 5_000, latenessP99Ms: 10_000, recoveryP99Ms: 10_000 },
  async run(world) {
    await world.start();
    const load = world.load.steady({
      count: world.mails,
      perSecond: world.mails / 6,
      fields: nowAndSoon,
    });
    await Bun.sleep(500);
    await world.outage(async () => {
      const sql = "lock table mailer.emails in access exclusive mode";
      const transaction = await openTransaction(world, sql);
      await Bun.sleep(2_000);
      await transaction.end();
    });
    const reader = await openTransaction(world, "select from mailer.emails limit 1");
    const migrating = alterBesideTraffic(world);
    await Bun.sleep(2_500);
    await reader.end();
    await migrating;
    await load;
  },
});

/** As a release's new migration would be applied, by the same patience. */
async function alterBesideTraffic(world: World): Promise<void> {
  const migration = {
    version: "99991231000001",
    name: "beside_traffic",
    sql: "alter table mailer.emails add column beside_traffic integer;",
  };
  const applied = await migrateAt(world.directUrl, [migration]);
  if (applied.length !== 1) world.miss("the migration was not applied");
}

export const slowDatabase = defineFault({
  name: "slow-database",
  what: "Each piece from and to PostgreSQL arrives 50 to 150 ms late.",
  mails: { small: 150, full: 2_000 },
  parts: { proxied: ["postgres"] },
  limits: { acceptP99Ms: 5_000, latenessP99Ms: 10_000 },
  async run(world) {
    await world.start();
    world.proxy("postgres").delay(50, 100);
    world.count();
    await world.load.steady({
      count: world.mails,
      perSecond: world.mails / 4,
      fields: nowAndSoon,
    });
  },
});
