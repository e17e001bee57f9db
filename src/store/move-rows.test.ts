import { expect, test } from "bun:test";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";
import { LEFT_TABLES, MOVED_TABLES } from "./move-rows.ts";

test("each table of the schema is moved or left, on purpose", async () => {
  const { url } = await freshDatabase();
  const rows = await runOnce(
    url,
    `select c.relname::text as name from pg_class c
     where c.relnamespace = 'mailer'::regnamespace and c.relkind in ('r', 'p') order by 1`,
  );
  expect<string[]>([...MOVED_TABLES, ...LEFT_TABLES].sort()).toEqual(
    rows.map(({ name }) => String(name)),
  );
});
