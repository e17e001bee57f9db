import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { MIGRATIONS, type Migration } from "../store/migrations.ts";
import { inMs, schedule, statusOf, subjectOf } from "../testing/product/email-requests.ts";
import { runProduct } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";
import { migrateAt } from "../testing/servers/migrate-at.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";

setDefaultTimeout(120_000);

/**
 * A migration as the next release would bring it: a column, a table, an index, and what the schema says
 * of itself. This binary then is the release before.
 */
const version = "20990101000001";
const next: Migration = {
  version,
  name: "next",
  sql: `
    alter table mailer.emails add column next_release text;
    create index emails_next_release on mailer.emails (next_release) where next_release is not null;
    create table mailer.next_release (id uuid primary key);
    create or replace function mailer.schema_version(args text) returns text language sql immutable
    return '{"version":"${version}","digest":"0123456789abcdef"}';`,
};
const interrupted: Migration = { ...next, sql: `${next.sql} select pg_sleep(60);` };

let stack: ProductionStack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.close());

const migrateTo = (migration: Migration) =>
  migrateAt(stack.databaseUrl, [...MIGRATIONS, migration]);

const hasNext = async () =>
  (
    await runOnce(
      stack.databaseUrl,
      "select from information_schema.columns where table_schema = 'mailer' and column_name = 'next_release'",
    )
  ).length > 0;

test("while the next release migrates, the one before accepts and sends, beside it and after it", async () => {
  const first = await stack.start();
  const ids: string[] = [];
  let isDone = false;
  const load = (async () => {
    for (let index = 0; !isDone || index < 40; index++) {
      const at = index % 2 === 0 ? {} : { scheduled_at: inMs(2_000) };
      ids.push(await schedule(first, { subject: `Mail ${index}`, ...at }));
    }
  })();

  // Killed in the middle: nothing of it is there.
  const cut = migrateTo(interrupted).catch((error: Error) => error);
  await until("the migration is under way", async () => {
    const killed = await runOnce(
      stack.databaseUrl,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and wait_event = 'PgSleep'
         and query like '%next_release%'`,
    );
    return killed.length > 0;
  });
  expect(await cut).toBeInstanceOf(Error);
  expect(await hasNext()).toBe(false);

  expect((await migrateTo(next)).map(({ name }) => name)).toEqual(["next"]);
  expect(await hasNext()).toBe(true);
  // Back to the release before: it starts on the newer schema.
  const second = await stack.start({ AUTO_MIGRATE: "true" });
  ids.push(await schedule(second, { subject: "Accepted after the way back" }));
  isDone = true;
  await load;

  for (const id of ids) {
    const { attempts } = await statusOf(second, id, ["sent"], 60_000);
    expect(attempts).toHaveLength(1);
  }
  const subjects = stack.sink.acceptances.map(subjectOf);
  expect(new Set(subjects).size).toBe(ids.length);
  expect(subjects).toHaveLength(ids.length);
  const verified = await runProduct(["audit", "verify", "--json"], { env: stack.env });
  expect([verified.code, verified.output]).toEqual([0, expect.stringContaining("{")]);
  const { code, output } = await runProduct(["migrate", "--status"], { env: stack.env });
  expect([code, output]).toEqual([0, expect.not.stringContaining("missing")]);
});
