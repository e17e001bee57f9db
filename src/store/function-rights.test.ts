import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import pg from "pg";
import { callers, inner } from "../testing/fixtures/function-rights.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";

const databaseRoles = [
  "anon",
  "authenticated",
  "mailer_client",
  "mailer_dropper",
  "mailer_owner",
  "mailer_service",
  "service_role",
];
/** Every role that claims may name, and some that nobody knows. */
const claimRoles = [
  ...new Set(Object.values(callers).flatMap((roles) => roles.split(" "))),
  ...["service", "anon", "authenticated", "service_role", "mailer_service", "User", ""],
];

interface CatalogueFunction {
  name: string;
  schema: string;
  language: string;
  is_definer: boolean;
  is_trigger: boolean;
  config: string[] | null;
  has_body_of_its_own: boolean;
  owner: string;
  executors: string[];
}

let client: pg.Client;
let functions: CatalogueFunction[];

beforeAll(async () => {
  const { url } = await freshDatabase();
  client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<CatalogueFunction>(
    `select p.proname as name, n.nspname as schema, l.lanname as language,
       p.prosecdef as is_definer, p.prorettype = 'trigger'::regtype as is_trigger,
       p.proconfig as config, p.prosqlbody is not null as has_body_of_its_own,
       p.proowner::regrole::text as owner,
       array(select r from unnest($1::text[]) r
         where has_function_privilege(r, p.oid, 'execute')) as executors
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     join pg_language l on l.oid = p.prolang
     where n.nspname in ('mailer', 'mailer_api') order by 1`,
    [databaseRoles],
  );
  functions = rows;
}, 60_000);
afterAll(async () => await client.end());

const inMailer = () => functions.filter(({ schema }) => schema === "mailer");

/** Undoes whatever it did, and the role it took. */
async function undone<T>(role: string, run: () => Promise<T>): Promise<T> {
  await client.query("begin");
  try {
    await client.query(`set local role ${role}`);
    return await run();
  } finally {
    await client.query("rollback");
  }
}

/** What a call came to: "forbidden", "ran", or what the function thought of the arguments. */
async function outcomeOf(role: string, claims: unknown, fn: string): Promise<string> {
  return await undone(role, () =>
    client
      .query("select mailer_api.call_as($1, $2, '{}')", [JSON.stringify(claims), fn])
      .then(() => "ran")
      // A function that was reached may refuse in words of its own.
      .catch(({ message, detail = "" }: pg.DatabaseError) =>
        message === "forbidden" && !/^The (role|database role|claims)\b/.test(detail)
          ? detail
          : message,
      ),
  );
}

test("every function of the catalogue has a line that says whose it is, and none is left over", () => {
  const decided = [...Object.keys(callers), ...Object.keys(inner)].sort();
  expect([...new Set(inMailer().map(({ name }) => name))].sort()).toEqual(decided);
  const inApi = functions.filter(({ schema }) => schema === "mailer_api");
  expect(inApi.map(({ name }) => name)).toEqual(["call_as"]);
});

test("mailer.functions names the functions that are to be called, for those roles alone", async () => {
  const { rows } = await client.query<{ name: string; roles: string[] }>(
    "select name, roles from mailer.functions order by name",
  );
  const told = Object.fromEntries(rows.map(({ name, roles }) => [name, [...roles].sort()]));
  const wanted = Object.entries(callers).map(([name, roles]) => [name, roles.split(" ").sort()]);
  expect(told).toEqual(Object.fromEntries(wanted));
});

describe("call_as", () => {
  test("lets each role of the claims call its own functions and no other", async () => {
    const wrong: string[] = [];
    for (const { name } of inMailer()) {
      for (const role of claimRoles) {
        const outcome = await outcomeOf("mailer_client", { role, sub: "eve" }, name);
        const isLetIn = callers[name]?.split(" ").includes(role) ?? false;
        if ((outcome !== "forbidden") !== isLetIn) wrong.push(`${role} → ${name}: ${outcome}`);
      }
    }
    expect(wrong).toEqual([]);
  }, 60_000);

  test.each<unknown>([
    {},
    { role: "user" },
    { sub: "eve" },
    { role: "user", sub: "" },
    { role: ["user"], sub: "eve" },
    { role: { role: "user" }, sub: "eve" },
    { role: null, sub: "eve" },
    [["user", "eve"]],
    [[]],
    "user",
    null,
    { user_metadata: { role: "admin" }, app_metadata: { role: "admin" }, sub: "eve" },
  ])("refuses the claims %j", async (claims) => {
    expect(await outcomeOf("mailer_client", claims, "queue_stats")).toBe("forbidden");
  });

  test.each([
    "get_email('{}'); drop table mailer.emails; --",
    'get_email"',
    "mailer.get_email",
    "GET_EMAIL",
    "pg_sleep",
    "run_as_owner",
    "",
  ])("knows no function of the name %j", async (fn) => {
    expect(await outcomeOf("mailer_client", { role: "admin", sub: "root" }, fn)).toBe("forbidden");
  });

  test("takes the last of two roles in the claims, as every function behind it does", async () => {
    for (const [claims, answer] of [
      ['{"role":"admin","role":"user","sub":"eve"}', "forbidden"],
      ['{"role":"user","role":"admin","sub":"eve"}', "ran"],
    ]) {
      const call = undone("mailer_client", () =>
        client.query("select mailer_api.call_as($1, 'journal_lag', '{}')", [claims]),
      );
      const outcome = await call.then(() => "ran").catch((error: Error) => error.message);
      expect(outcome).toBe(String(answer));
    }
  });

  test("is closed to anon and authenticated, also when they were granted all there is", async () => {
    await client.query("grant usage on schema mailer_api to anon, authenticated");
    await client.query(
      "grant all on all routines in schema mailer_api to anon, authenticated, service_role",
    );
    try {
      const claims = { role: "user", sub: "eve" };
      for (const role of ["anon", "authenticated"]) {
        expect(await outcomeOf(role, claims, "queue_stats")).toBe("forbidden");
      }
      expect(await outcomeOf("service_role", claims, "queue_stats")).toBe("ran");
    } finally {
      await client.query(
        "revoke all on all routines in schema mailer_api from anon, authenticated",
      );
      await client.query("revoke usage on schema mailer_api from anon");
    }
  });
});

describe("direct SQL", () => {
  test("each database role may execute what it is meant to", () => {
    for (const { schema, name, executors } of functions) {
      const wanted = new Set(["mailer_service"]);
      const isOfUsers = callers[name]?.split(" ").includes("user") || inner[name] === "owner";
      if (schema === "mailer" && isOfUsers) wanted.add("mailer_owner");
      // What the policy of the views asks; it says what the session's own settings say.
      if (name === "claim_sub") wanted.add("authenticated");
      if (name === "delete_dropped" || name === "refuse_journal_change")
        wanted.add("mailer_dropper");
      if (name === "call_as") wanted.add("mailer_client").add("service_role");
      expect([name, ...executors]).toEqual([name, ...[...wanted].sort()]);
    }
  });

  test("anon, a user of the project and a client are refused at every function of mailer", async () => {
    for (const role of ["anon", "authenticated", "mailer_client", "service_role"]) {
      for (const { name } of inMailer().filter(({ is_trigger }) => !is_trigger)) {
        if (callers[name] === undefined) continue;
        const call = undone(role, () => client.query(`select mailer.${name}('{}')`));
        expect(String(await rejection(call))).toMatch("permission denied");
      }
    }
  });
});

describe("a client that makes types of its own", () => {
  /** Each would run as the owner of a gate, when a function casts to it. */
  const shadowing = ["json", "jsonb", "text", "timestamptz", "uuid", "bigint"];
  const check = `create function pg_temp.ran(v pg_catalog.text) returns pg_catalog.bool
    language plpgsql as $$ begin raise notice 'ran as %', current_user; return true; end $$`;
  const refusal = {
    message: "forbidden",
    detail: expect.stringContaining("has made a temporary type"),
  };
  const call = (fn: string, args: object) =>
    client.query("select mailer_api.call_as($1, $2, $3)", [
      JSON.stringify({ role: "user", sub: "eve" }),
      fn,
      JSON.stringify(args),
    ]);

  test("named as PostgreSQL's are is refused, and nothing of it runs", async () => {
    const notices: string[] = [];
    const listen = ({ message = "" }) => void notices.push(message);
    client.on("notice", listen);
    for (const name of shadowing) {
      const type = name === "bigint" ? "int8" : name;
      const tried = undone("mailer_client", async () => {
        await client.query(check);
        await client.query(
          `create domain pg_temp.${type} as pg_catalog.${type}
           check (pg_temp.ran(value::pg_catalog.text))`,
        );
        return await call("list_emails", { limit: 1 });
      });
      expect(await rejection(tried)).toMatchObject(refusal);
    }
    // A table has a type of its name, too.
    const table = undone("mailer_client", async () => {
      await client.query("create temp table jsonb (i int)");
      return await call("queue_stats", {});
    });
    expect(await rejection(table)).toMatchObject(refusal);
    client.off("notice", listen);
    expect(notices).toEqual([]);
  });

  test("and any other temporary table is none of our business", async () => {
    await undone("mailer_client", async () => {
      await client.query("create temp table mine (i int, words text)");
      expect((await call("queue_stats", {})).rowCount).toBe(1);
    });
  });
});

describe("the catalogue", () => {
  test("four functions run as somebody else, who cannot log in, bypass security or inherit", async () => {
    const definers = functions.filter(({ is_definer }) => is_definer);
    expect(definers.map(({ name, owner }) => [name, owner])).toEqual([
      ["call_as", "mailer_service"],
      ["delete_dropped", "mailer_dropper"],
      ["pending_regions", "mailer_service"],
      ["run_as_owner", "mailer_owner"],
    ]);
    const { rows } = await client.query(
      `select rolname, rolcanlogin, rolbypassrls, rolsuper, rolinherit, rolcreaterole, rolcreatedb,
         array(select m.roleid::regrole::text from pg_auth_members m where m.member = r.oid) as of
       from pg_roles r where rolname like 'mailer\\_%'`,
    );
    expect(rows.length).toBe(4);
    for (const { rolname, of, ...rights } of rows) {
      expect([rolname, of, Object.values(rights)]).toEqual([rolname, [], Array(6).fill(false)]);
    }
  });

  // New: `language plpgsql set search_path = ''`. An expression of SQL is read once, or is only
  // ever run within a function that has its path.
  test("names in functions mean what they meant when they were written", () => {
    const isPinned = ({ config, has_body_of_its_own }: CatalogueFunction) =>
      has_body_of_its_own ||
      config?.includes('search_path=""') ||
      config?.includes("search_path=pg_catalog, pg_temp");
    const bendable = functions.filter((one) => !isPinned(one));
    expect(bendable.filter(({ language }) => language === "plpgsql")).toEqual([]);
    const within = ["mailer_owner", "mailer_service"];
    const reached = bendable.filter(({ executors }) => executors.some((r) => !within.includes(r)));
    expect(reached).toEqual([]);
  });

  test("nothing is granted in advance to anybody in our schemas", async () => {
    const { rows } = await client.query(
      `select d.defaclacl::text from pg_default_acl d join pg_namespace n on n.oid = d.defaclnamespace
       where n.nspname in ('mailer', 'mailer_api')`,
    );
    expect(rows).toEqual([]);
    const { rows: schemas } = await client.query(
      `select n.nspname, r, has_schema_privilege(r, n.oid, 'create') as can_create
       from pg_namespace n cross join unnest($1::text[]) r
       where n.nspname in ('mailer', 'mailer_api') and has_schema_privilege(r, n.oid, 'create')`,
      [databaseRoles],
    );
    expect(schemas).toEqual([]);
  });
});
