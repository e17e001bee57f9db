import { afterAll, beforeAll, expect, test } from "bun:test";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import type { Claims, Database } from "./database.ts";
import { createMaintenance } from "./maintenance.ts";
import { createMinutes, latenessBoundsMs, type Minute, type Minutes } from "./minutes.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

const admin: Claims = { role: "admin", sub: "ops" };
const user: Claims = { role: "user", sub: "ada" };

let database: Database;
let sql: DirectSql;
let fra: Minutes;
let ams: Minutes;
beforeAll(async () => {
  database = createPostgresDatabase({ url: (await freshDatabase()).url });
  sql = await directSql(database);
  fra = createMinutes(database, { workerId: Bun.randomUUIDv7(), region: "fra" });
  ams = createMinutes(database, { workerId: Bun.randomUUIDv7(), region: "ams" });
});
afterAll(async () => {
  await sql?.close();
  await database?.close();
});

const minute = (at: string, more: Partial<Minute> = {}): Minute => ({
  ...{ minute: new Date(at), accepted: 0, sent: 0, partial: 0, deferred: 0, bounced: 0 },
  ...{ uncertain: 0, lateness: latenessBoundsMs.map(() => 0).concat(0), ...more },
});

test("figures of all processes are summed by steps, each minute once however often it is written", async () => {
  const lateness = latenessBoundsMs.map((_, place) => place).concat(99);
  await fra.record([minute("2031-01-02T10:00:00Z", { accepted: 1, sent: 1 })]);
  await fra.record([
    minute("2031-01-02T10:00:00Z", { accepted: 5, sent: 4, lateness }),
    minute("2031-01-02T10:16:00Z", { deferred: 2, bounced: 1, uncertain: 1 }),
  ]);
  await ams.record([minute("2031-01-02T10:14:00Z", { sent: 3, partial: 1, lateness })]);
  const [from, to] = [new Date("2031-01-02T10:00:00Z"), new Date("2031-01-02T11:00:00Z")];
  const sums = await fra.read({ from, to, stepSeconds: 900 }, admin);
  expect(sums).toEqual([
    {
      ...{ slot: 0, accepted: 5, sent: 7, partial: 1, deferred: 0, bounced: 0, uncertain: 0 },
      lateness: lateness.map((count) => count * 2),
    },
    {
      ...{ slot: 1, accepted: 0, sent: 0, partial: 0, deferred: 2, bounced: 1, uncertain: 1 },
      lateness: lateness.map(() => 0),
    },
  ]);
});

test("minutes of 30 days ago are forgotten, and those within are kept", async () => {
  const ago = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();
  await fra.record([minute(ago(29)), minute(ago(31)), minute(ago(40))]);
  const place = { workerId: Bun.randomUUIDv7(), region: "fra" };
  const { forget } = createMaintenance(database, place);
  expect([await forget("minutes", 1), await forget("minutes", 9)]).toEqual([1, 1]);
  const [row] = await sql.query(
    "select count(*)::integer as old from mailer.minutes where minute < now() - interval '30 days'",
  );
  expect(row?.old).toBe(0);
  const [kept] = await sql.query(
    "select count(*)::integer as kept from mailer.minutes where minute < now() - interval '28 days'",
  );
  expect(kept?.kept).toBe(1);
});

test("they are for admins", async () => {
  const query = { from: new Date(0), to: new Date(), stepSeconds: 60 };
  await expect(fra.read(query, user)).rejects.toMatchObject({ code: "forbidden" });
});
