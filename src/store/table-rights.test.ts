import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import pg from "pg";
import { seedTenants } from "../testing/product/tenants.ts";

/**
 * What each database role may do with the rows of whoever the claims name (`own`) or of anybody
 * (`all`); what is not named is refused. A table without a line fails.
 */
const rights: Record<string, Record<string, string>> = {
  "mailer.emails": {
    mailer_owner: "select:own update:own",
    mailer_service: "select:all insert:all update:all delete:all",
    authenticated: "select:own",
  },
  "mailer.contents": {
    mailer_owner: "select:own update:own",
    mailer_service: "select:all insert:all update:all delete:all",
  },
  "mailer.recipients": {
    mailer_owner: "select:own insert:own update:own delete:own",
    mailer_service: "select:all insert:all update:all delete:all",
    authenticated: "select:own",
  },
  "mailer.attempts": {
    // Of the reply alone, which shredding takes out.
    mailer_owner: "select:own update:own",
    mailer_service: "select:all insert:all update:all delete:all",
  },
  "mailer.journal": {
    mailer_owner: "select:own insert:own",
    mailer_service: "select:all insert:all",
    // Up to where a drop was announced: here none was.
    mailer_dropper: "select:all delete:none",
    authenticated: "select:own",
  },
  "mailer.seals": {
    mailer_owner: "select:own",
    mailer_service: "select:all insert:all",
    mailer_dropper: "select:all delete:none",
  },
  "mailer.journal_anchors": {
    mailer_owner: "select:own",
    mailer_service: "select:all",
    // Only forwards.
    mailer_dropper: "select:all insert:all update:guarded",
  },
  "mailer.journal_start": {
    mailer_owner: "select:all",
    mailer_service: "select:all update:all",
    mailer_dropper: "select:all update:all",
  },
  // Numbers of entries, of which an owner's counts need to know that they are unsealed.
  "mailer.journal_gaps": {
    mailer_owner: "select:all",
    mailer_service: "select:all insert:all delete:all",
  },
  "mailer.email_counts": {
    mailer_owner: "select:own",
    mailer_service: "select:all insert:all update:all delete:all",
  },
  "mailer.checkpoints": { mailer_service: "select:all insert:all" },
  "mailer.journal_heads": {
    mailer_owner: "select:own",
    // Only forwards; see append-only.test.ts.
    mailer_service: "select:all insert:all update:guarded",
  },
  "mailer.api_keys": {
    mailer_owner: "select:own insert:own update:own",
    mailer_service: "select:all insert:all update:all",
  },
  "mailer.sessions": { mailer_service: "select:all insert:all update:all delete:all" },
  "mailer.idempotency_keys": { mailer_service: "select:all insert:all update:all delete:all" },
  "mailer.workers": { mailer_service: "select:all insert:all update:all delete:all" },
  "mailer.regions": { mailer_service: "select:all insert:all update:all" },
  "mailer.maintenance": { mailer_service: "select:all insert:all update:all" },
  "mailer.minutes": { mailer_service: "select:all insert:all update:all delete:all" },
  "mailer.probe_requests": { mailer_service: "select:all insert:all update:all" },
  "mailer.transports": { mailer_service: "select:all insert:all update:all" },
  "mailer.settings": { mailer_service: "select:all insert:all update:all" },
  "mailer.sealer": { mailer_owner: "select:all", mailer_service: "select:all update:all" },
  "mailer.dropped_signing_keys": { mailer_service: "select:all insert:all" },
  "mailer.ended_tokens": { mailer_service: "select:all insert:all update:all" },
  "mailer.functions": { mailer_service: "select:all" },
  "mailer.incidents": { mailer_service: "select:all insert:all delete:all" },
  "mailer.pauses": { mailer_service: "select:all insert:all delete:all" },
  "mailer.timelines": { mailer_service: "select:all insert:all" },
  "mailer.webhooks": {
    mailer_owner: "select:own insert:own update:own delete:own",
    mailer_service: "select:all insert:all update:all delete:all",
  },
  "mailer.webhook_deliveries": {
    mailer_owner: "select:own insert:own update:own",
    mailer_service: "select:all insert:all update:all delete:all",
  },
  "mailer_api.emails": { authenticated: "select:own" },
  "mailer_api.recipients": { authenticated: "select:own" },
  "mailer_api.events": { authenticated: "select:own" },
};
const roles =
  "anon authenticated mailer_client mailer_dropper mailer_owner mailer_service service_role".split(
    " ",
  );
const tables = Object.keys(rights);

/** No right to; no such thing is done to a view. */
const refusals = ["42501", "42809", "0A000"];

interface Column {
  name: string;
  selects: boolean;
  updates: boolean;
  inserts: boolean;
}

let client: pg.Client;

beforeAll(async () => {
  const { url } = await seedTenants();
  client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("insert into mailer.journal_gaps values (-1, -1, '1', now())");
  await client.query("insert into mailer.checkpoints (position, checkpoint) values (1, '{}')");
  await client.query("insert into mailer.incidents (kind, since) values ('journal', now())");
  await client.query("insert into mailer.probe_requests values ('smtp.example.net:25', now())");
  await client.query(
    "insert into mailer.minutes values (now(), $1, 'local', 1, 1, 0, 0, 0, 0, '{1}')",
    [crypto.randomUUID()],
  );
}, 60_000);
afterAll(async () => await client.end());

/** As a role on behalf of a sub, undone afterwards. */
async function as<T>(role: string, sub: string | null, run: () => Promise<T>): Promise<T> {
  await client.query("begin");
  try {
    await client.query(`set local role ${role}`);
    const claims = sub === null ? "" : JSON.stringify({ role: "user", sub });
    await client.query("select set_config('request.jwt.claims', $1, true)", [claims]);
    return await run();
  } finally {
    await client.query("rollback");
  }
}

async function columnsOf(table: string, role: string): Promise<Column[]> {
  const { rows } = await client.query<Column>(
    `select attname as name, has_column_privilege($2, attrelid, attnum, 'select') as selects,
       has_column_privilege($2, attrelid, attnum, 'update') as updates,
       has_column_privilege($2, attrelid, attnum, 'insert') as inserts
     from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped
       and attidentity = '' order by attnum`,
    [table, role],
  );
  return rows;
}

/** How many rows there are, ada's and all of them; the same where nobody owns them. */
async function countsOf(table: string): Promise<{ own: number; all: number }> {
  const base = table === "mailer_api.events" ? "mailer.journal" : table.replace("_api.", ".");
  const { rows } = await client.query<{ own: number; all: number }>(
    `select count(*)::int as all, count(*) filter (where coalesce(to_jsonb(t) ->> 'owner_id', 'ada')
       = 'ada')::int as own from ${base} t
     ${table === "mailer_api.events" ? "where email_id is not null" : ""}`,
  );
  const [counts = { own: 0, all: 0 }] = rows;
  return counts;
}

/** Whose rows a statement reached, in the words of `rights`; null: the role may not at all. */
async function reached(table: string, run: () => Promise<pg.QueryResult>): Promise<string | null> {
  const { own, all } = await countsOf(table);
  try {
    const { rowCount } = await run();
    if (rowCount === all) return "all";
    if (rowCount === own) return "own";
    return rowCount === 0 ? "none" : `${rowCount} of ${all}`;
  } catch (error) {
    const { code, message } = error as pg.DatabaseError;
    if (code !== undefined && refusals.includes(code)) return null;
    return /journal/.test(message) ? "guarded" : message;
  }
}

/** Copies of rows there are: a refusal comes before the complaint that the key is taken. */
async function inserts(table: string, role: string, columns: Column[]): Promise<string | null> {
  const named = columns.some(({ inserts: may }) => may)
    ? columns.filter(({ inserts: may }) => may)
    : columns;
  const names = named.map(({ name }) => `"${name}"`).join(", ");
  const taken = async (owner: string) => {
    const { rows } = await client.query(
      `select to_jsonb(t) as row from ${table} t
       where coalesce(to_jsonb(t) ->> 'owner_id', $1) = $1 limit 1`,
      [owner],
    );
    return await as(role, "ada", () =>
      client.query(
        `insert into ${table} (${names}) select ${names} from jsonb_populate_record(null::${table}, $1)`,
        [rows[0]?.row],
      ),
    )
      .then(() => true)
      .catch(({ code, message }: pg.DatabaseError) => {
        if (code !== undefined && refusals.includes(code)) return false;
        if (code === "23505") return true;
        throw new Error(`${table}: ${message}`);
      });
  };
  const [own, other] = [await taken("ada"), await taken("bob")];
  if (own) return other ? "all" : "own";
  return other ? "other" : null;
}

async function found(table: string, role: string): Promise<string> {
  const columns = await columnsOf(table, role);
  const anything = columns[0]?.name;
  const readable = columns.find(({ selects }) => selects)?.name ?? anything;
  const updatable = columns.find(({ updates, selects }) => updates && selects)?.name ?? anything;
  const ask = (sql: string) => reached(table, () => as(role, "ada", () => client.query(sql)));
  const verbs = {
    select: await ask(`select "${readable}" from ${table}`),
    insert: await inserts(table, role, columns),
    update: await ask(`update ${table} set "${updatable}" = "${updatable}"`),
    delete: await ask(`delete from ${table}`),
    truncate: await ask(`truncate ${table} cascade`),
  };
  const may = Object.entries(verbs).filter(([, whose]) => whose !== null);
  return may.map(([verb, whose]) => `${verb}:${whose}`).join(" ");
}

test("every table and view has a line, and none is left over", async () => {
  const { rows } = await client.query<{ name: string }>(
    `select n.nspname || '.' || c.relname as name from pg_class c
     join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('mailer', 'mailer_api') and c.relkind in ('r', 'p', 'v', 'm', 'f')`,
  );
  expect(rows.map(({ name }) => name).sort()).toEqual(tables.toSorted());
});

test("the rows to try it on: some of ada's and some of bob's, in every table that has owners", async () => {
  for (const table of tables) {
    const { own, all } = await countsOf(table);
    expect([table, own > 0, all > own]).toEqual([table, true, await hasOwner(table)]);
  }
});

async function hasOwner(table: string): Promise<boolean> {
  if (table.startsWith("mailer_api.")) return true;
  const columns = await columnsOf(table, "mailer_service");
  return columns.some(({ name }) => name === "owner_id");
}

describe.each(roles)("%s", (role) => {
  test.each(tables)(
    "and %s: whose rows, by select, insert, update, delete, truncate",
    async (table) => {
      expect(await found(table, role)).toBe(rights[table]?.[role] ?? "");
    },
  );
});

describe("mailer_owner and authenticated", () => {
  test.each([null, "", "nobody", "ADA", "ada "])("see nothing for the sub %j", async (sub) => {
    for (const role of ["mailer_owner", "authenticated"]) {
      for (const table of tables.filter((one) => rights[one]?.[role]?.includes("select:own"))) {
        const readable = (await columnsOf(table, role)).find(({ selects }) => selects)?.name;
        const { rowCount } = await as(role, sub, () =>
          client.query(`select "${readable}" from ${table}`),
        );
        expect([role, table, rowCount]).toEqual([role, table, 0]);
      }
    }
  });

  test("give no row of theirs away, and take none", async () => {
    for (const table of tables.filter((one) => rights[one]?.mailer_owner?.includes("update"))) {
      for (const owner of ["ada", "bob"]) {
        const sql = `update ${table} set owner_id = 'bob' where owner_id = '${owner}'`;
        const moved = await as("mailer_owner", "ada", () => client.query(sql))
          .then(({ rowCount }) => rowCount)
          .catch(({ code }: pg.DatabaseError) => (code === "42501" ? 0 : code));
        expect([table, owner, moved]).toEqual([table, owner, 0]);
      }
    }
  });

  test("of a sub that is SQL see nothing more than anybody of an odd name", async () => {
    for (const sub of ["ada' or '1'='1", "%", '","role":"admin', "\u0661da"]) {
      const { rowCount } = await as("mailer_owner", sub, () =>
        client.query("select id from mailer.emails"),
      );
      expect(rowCount).toBe(0);
    }
  });
});
