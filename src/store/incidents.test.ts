import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { joinRegion } from "../testing/product/region-process.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { createEmails } from "./emails.ts";
import { createFleetStore, type TransportState } from "./fleet.ts";
import { createJournal } from "./journal.ts";

setDefaultTimeout(60_000);

const up: TransportState = {
  ...{ name: "smtp:25", breaker: "closed", detail: null, since: null },
  ...{ reason: null, reply: null, smtpCode: null, workedMsAgo: 0 },
};
const down: TransportState = {
  ...{ name: "smtp:25", breaker: "open", detail: "down", since: "2030-01-02T03:04:05.000Z" },
  ...{ reason: "the SMTP server refuses our login", reply: "535 5.7.8 Bad credentials" },
  ...{ smtpCode: 535, workedMsAgo: null },
};
const isLocal = ({ driver }: { driver: string }) => driver !== "supabase";

describe.each(drivers.filter(isLocal))("incidents on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
  });
  afterAll(async () => {
    await sql.close();
    await opened.close();
  });

  /** A process of the region that says how its transport is. */
  async function join(region: string) {
    const process = await joinRegion(opened.database, region);
    const fleet = createFleetStore(opened.database, { workerId: process.workerId, region });
    const state = { queue: null, unsettled: 0 };
    return {
      ...process,
      async says(transport: TransportState) {
        await process.presence.beat();
        await fleet.report({ ...state, transports: [transport] });
      },
    };
  }

  /** Entries of the kind about the region, in order. */
  async function told(kind: string, region: string | null) {
    const rows = await sql.query(
      `select owner_id, actor, action, detail::text from mailer.journal
       where action like $1 || '.%' and detail ->> 'region' is not distinct from $2 order by id`,
      [kind, region],
    );
    return rows.map((row) => ({
      ...{ owner_id: row.owner_id, actor: row.actor, action: row.action },
      detail: JSON.parse(String(row.detail)) as Record<string, unknown>,
    }));
  }
  const actionsOf = async (kind: string, region: string | null) =>
    (await told(kind, region)).map(({ action }) => action);

  test("a transport that goes down and comes back is told once, whatever number of processes says so", async () => {
    const [one, other] = [await join("fra"), await join("fra")];
    await one.says(up);
    await one.says(down);
    await other.says(down);
    await other.says({ ...down, reply: "another" });
    expect(await told("transport", "fra")).toEqual([
      {
        owner_id: "taskforce-mailer:system",
        actor: "taskforce-mailer:reconciler:fra",
        action: "transport.down",
        detail: {
          ...{ region: "fra", transport: "smtp:25", reason: down.reason, reply: down.reply },
          smtp_code: 535,
        },
      },
    ]);
    // It is not up as long as another living process says that it is down.
    await one.says(up);
    expect(await actionsOf("transport", "fra")).toEqual(["transport.down"]);
    await other.says(up);
    await one.says(up);
    expect(await actionsOf("transport", "fra")).toEqual(["transport.down", "transport.up"]);
    const [, back] = await told("transport", "fra");
    expect(back?.detail.lasted_ms).toBeGreaterThanOrEqual(0);
  });

  test("a process that has no email to try a transport with keeps nobody from saying that it is up", async () => {
    const [one, idle] = [await join("cdg"), await join("cdg")];
    const probeAt = (ms: number) => new Date(Date.now() + ms).toISOString();
    await one.says({ ...down, nextProbeAt: probeAt(60_000) });
    await idle.says({ ...down, nextProbeAt: probeAt(60_000) });
    await one.says(up);
    expect(await actionsOf("transport", "cdg")).toEqual(["transport.down"]);
    const overdue = { ...down, nextProbeAt: probeAt(-60_000) };
    await idle.says(overdue);
    await one.says(up);
    await idle.says(overdue);
    expect(await actionsOf("transport", "cdg")).toEqual(["transport.down", "transport.up"]);
    await idle.says({ ...down, nextProbeAt: probeAt(60_000) });
    expect((await actionsOf("transport", "cdg")).slice(2)).toEqual(["transport.down"]);
  });

  test("a process that was started anew says nothing of a transport before it has sent", async () => {
    const dead = await join("ams");
    await dead.says(down);
    await dead.presence.stop();
    const fresh = await join("ams");
    await fresh.says({ ...up, workedMsAgo: null });
    // What got through before the transport was found down shows nothing either.
    await fresh.says({ ...up, workedMsAgo: 60_000 });
    expect(await actionsOf("transport", "ams")).toEqual(["transport.down"]);
    await fresh.says(up);
    expect(await actionsOf("transport", "ams")).toEqual(["transport.down", "transport.up"]);
  });

  test("a region that falls silent and is back is told once, and only by those who may judge", async () => {
    await join("iad");
    const [watcher, other] = [await join("lhr"), await join("lhr")];
    const silence = "update mailer.regions set beat_at = clock_timestamp() - interval '61 s'";
    await sql.query(`${silence} where name = 'iad'`);
    await watcher.presence.noteIncidents(false);
    expect(await told("region", "iad")).toEqual([]);
    await Promise.all([watcher.presence.noteIncidents(true), other.presence.noteIncidents(true)]);
    await other.presence.noteIncidents(true);
    const [silent, ...more] = await told("region", "iad");
    expect([silent?.detail.region, more]).toEqual(["iad", []]);
    expect(silent?.detail.silent_for_ms).toBeGreaterThan(60_000);
    await join("iad");
    await watcher.presence.noteIncidents(true);
    await other.presence.noteIncidents(true);
    expect(await actionsOf("region", "iad")).toEqual(["region.silent", "region.back"]);
  });

  test("a journal that is not sealed is behind from 10 s on, and caught up once it is", async () => {
    const { presence } = await join("sin");
    const journal = createJournal(opened.database);
    const seal = async () => {
      while ((await journal.seal(1_000)).hasMore);
    };
    await seal();
    const entry = "insert into mailer.journal (at, owner_id, actor, action) values";
    await sql.query(`${entry} (clock_timestamp() - interval '8 s', 'ada', 'ada', 'x.y')`);
    await presence.noteIncidents(true);
    expect(await actionsOf("journal", null)).toEqual([]);
    await seal();
    await sql.query(`${entry} (clock_timestamp() - interval '11 s', 'ada', 'ada', 'x.y')`);
    await presence.noteIncidents(true);
    await presence.noteIncidents(true);
    const [behind, ...more] = await told("journal", null);
    expect(behind?.detail.behind_ms).toBeGreaterThanOrEqual(11_000);
    expect(more).toEqual([]);
    await seal();
    await presence.noteIncidents(true);
    await presence.noteIncidents(true);
    expect(await actionsOf("journal", null)).toEqual(["journal.behind", "journal.caught_up"]);
  });

  test("webhooks are behind when an event waits a minute for a receiver that is there", async () => {
    const { presence } = await join("syd");
    const webhook = `insert into mailer.webhooks (id, owner_id, is_global, url, events, wrapped_key,
      secret, created_at, cursor, failures) values (gen_random_uuid(), 'wilma', false, 'https://x',
      '{email.*}', 'x', 'x', now(), 0, $1)`;
    await sql.query(webhook, [10]);
    await sql.query(`insert into mailer.journal (at, owner_id, actor, action)
      values (clock_timestamp() - interval '61 s', 'wilma', 'wilma', 'email.sent')`);
    while ((await createJournal(opened.database).seal(1_000)).hasMore);
    // A receiver that failed ten times in a row is left alone: that is not ours to catch up with.
    await presence.noteIncidents(true);
    expect(await actionsOf("webhooks", null)).toEqual([]);
    await sql.query(webhook, [0]);
    await presence.noteIncidents(true);
    await presence.noteIncidents(true);
    expect(await actionsOf("webhooks", null)).toEqual(["webhooks.behind"]);
    await sql.query("update mailer.webhooks set cursor = (select max(position) from mailer.seals)");
    await presence.noteIncidents(true);
    expect(await actionsOf("webhooks", null)).toEqual(["webhooks.behind", "webhooks.caught_up"]);
  });

  test("a region's sending is behind when an email is a minute late and nothing explains it", async () => {
    const { presence, says } = await join("gru");
    const emails = createEmails(opened.database);
    const email = newEmail({ region: "gru" });
    await store(emails, [email], { ownerId: "olga" });
    await sql.query(
      "update mailer.emails set next_attempt_at = clock_timestamp() - interval '61 s' where id = $1",
      [email.id],
    );
    const pause = (kind: string, name: string) =>
      sql.query(
        `insert into mailer.pauses (kind, name, paused_at, paused_by, reason)
         values ($1, $2, now(), 'root', 'a test')`,
        [kind, name],
      );
    await pause("owner", "olga");
    await presence.noteIncidents(true);
    await pause("region", "gru");
    await sql.query("delete from mailer.pauses where kind = 'owner'");
    await presence.noteIncidents(true);
    await sql.query("delete from mailer.pauses");
    await pause("database", "restored");
    await presence.noteIncidents(true);
    await sql.query("delete from mailer.pauses");
    await says(down);
    await presence.noteIncidents(true);
    expect(await told("sending", "gru")).toEqual([]);
    await says(up);
    await presence.noteIncidents(true);
    await presence.noteIncidents(true);
    expect(await actionsOf("sending", "gru")).toEqual(["sending.behind"]);
    await sql.query("update mailer.emails set state = 'cancelled' where id = $1", [email.id]);
    await presence.noteIncidents(true);
    expect(await actionsOf("sending", "gru")).toEqual(["sending.behind", "sending.caught_up"]);
  });
});
