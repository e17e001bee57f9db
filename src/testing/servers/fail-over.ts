import type { DirectSql } from "./direct-sql.ts";

const tables = ["emails", "recipients", "attempts", "journal", "workers", "regions"];

/** Makes the database say that this is its timeline. */
export async function setTimeline(sql: DirectSql, timeline: string): Promise<void> {
  await sql.query(
    `create or replace function mailer.timeline() returns text language sql stable
     set search_path = '' as $$ select '${timeline}' $$`,
  );
}

/** Loses what is written meanwhile, as a standby does that lacks it and is promoted. */
export async function failOver(
  sql: DirectSql,
  timeline: string,
  lost: () => Promise<void>,
): Promise<void> {
  for (const table of tables) {
    await sql.query(`create table public.kept_${table} as select * from mailer.${table}`);
  }
  await lost();
  // Nothing of ours forbids what a standby does: neither edges of states nor the append-only journal.
  await sql.query("set session_replication_role = replica");
  for (const table of tables) {
    await sql.query(`delete from mailer.${table}`);
    const all = table === "journal" ? " overriding system value" : "";
    await sql.query(`insert into mailer.${table}${all} select * from public.kept_${table}`);
    await sql.query(`drop table public.kept_${table}`);
  }
  await sql.query("set session_replication_role = origin");
  await setTimeline(sql, timeline);
}
