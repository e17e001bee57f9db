import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { isAppError } from "../errors.ts";
import { clearOnlyPrivate } from "../outgoing/clear-only-private.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { migrateAt } from "../testing/servers/migrate-at.ts";
import { runOnce, sharedPostgres } from "../testing/servers/postgres-server.ts";
import { publishableKey, secretKey } from "../testing/servers/supabase-keys.ts";
import { type SupabaseServer, startSupabase } from "../testing/servers/supabase-server.ts";
import { type Database, partClaims } from "./database.ts";
import { createSupabaseDatabase } from "./supabase-database.ts";

const claims = partClaims("ping");
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function open(url: string, serviceRoleKey = secretKey, deadlineMs = 20_000): Database {
  return createSupabaseDatabase({ url, serviceRoleKey, deadlineMs });
}

/** A server that answers every request alike, and what it was asked. */
function answering(answer: (request: Request) => Response | Promise<Response>) {
  const asked: { url: URL; headers: Headers; body: string; method: string }[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { method, headers } = request;
      asked.push({ url: new URL(request.url), method, headers, body: await request.text() });
      return answer(request);
    },
  });
  closers.push(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}`, asked };
}

function json(status: number, body: unknown): () => Response {
  return () => Response.json(body, { status });
}

async function failureOf(call: Promise<unknown>) {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!isAppError(error)) throw new Error(`no AppError: ${error}`);
  return { code: error.code, words: error.publicDetail, cause: String(error.cause) };
}

describe("the service_role key", () => {
  test("never goes to the internet in clear", async () => {
    const { url, asked } = answering(json(200, '{"a":1}'));
    const named = url.replace("127.0.0.1", "localhost");
    const to = (address: string) =>
      createSupabaseDatabase({
        url: named,
        serviceRoleKey: secretKey,
        assertSafe: clearOnlyPrivate(named, async () => [address]),
      }).rpc("echo", {}, claims);
    const failure = await failureOf(to("93.184.215.14"));
    expect(failure.code).toBe("database_unavailable");
    expect(failure.cause).toContain("expected a URL that starts with https://");
    expect(asked).toEqual([]);
    expect(await to("127.0.0.1")).toEqual({ a: 1 });
  });
});

describe("a call", () => {
  test("is one POST of texts to the one function of the one schema, with the key alone", async () => {
    const { url, asked } = answering(json(200, '{"a":1}'));
    const args = { subject: 'Grüße \\ "x" \u{1F600}' };
    expect(await open(url).rpc("echo", args, claims, { lines: ["AAAA", "BB"] })).toEqual({ a: 1 });
    expect(asked).toHaveLength(1);
    const [request] = asked;
    expect([request?.method, request?.url.pathname]).toEqual(["POST", "/rest/v1/rpc/call_as"]);
    expect(request?.headers.get("content-profile")).toBe("mailer_api");
    expect(request?.headers.get("apikey")).toBe(secretKey);
    expect(request?.headers.get("authorization")).toBe(`Bearer ${secretKey}`);
    expect(JSON.parse(request?.body ?? "")).toEqual({
      claims: JSON.stringify(claims),
      fn: "echo",
      args: `${JSON.stringify(args)}\nAAAA\nBB`,
    });
  });

  test("of a function that returns null answers null", async () => {
    expect(await open(answering(json(200, null)).url).rpc("nothing", {}, claims)).toBeNull();
  });

  test("that our SQL refuses rejects with its code and words", async () => {
    const answer = {
      code: "TM001",
      message: "in_flight",
      details: "Already on its way.",
      hint: null,
    };
    const failure = await failureOf(open(answering(json(400, answer)).url).rpc("x", {}, claims));
    expect(failure).toMatchObject({ code: "in_flight", words: "Already on its way." });
  });

  test("is made once, whatever comes back", async () => {
    for (const status of [500, 502, 503, 520, 429]) {
      const { url, asked } = answering(json(status, { code: "PGRST002", message: "x" }));
      expect(await failureOf(open(url).rpc("x", {}, claims))).toMatchObject({
        code: "database_unavailable",
      });
      expect(asked).toHaveLength(1);
    }
  });

  test("is refused once the database is closed", async () => {
    const { url, asked } = answering(json(200, "{}"));
    const database = open(url);
    await database.close();
    expect((await failureOf(database.rpc("x", {}, claims))).code).toBe("database_unavailable");
    expect(asked).toEqual([]);
  });
});

describe("the deadline", () => {
  test("ends a call that is not answered, and one whose answer drips", async () => {
    const silent = answering(() => new Promise<Response>(() => {}));
    const drip = new ReadableStream({
      async pull(controller) {
        controller.enqueue(" ");
        await Bun.sleep(50);
      },
    });
    for (const { url } of [silent, answering(() => new Response(drip))]) {
      const startedAt = performance.now();
      const failure = await failureOf(open(url, secretKey, 300).rpc("x", {}, claims));
      expect(failure.code).toBe("database_unavailable");
      expect(performance.now() - startedAt).toBeLessThan(3_000);
    }
  });

  test("is longer for a call with megabytes", async () => {
    const { url } = answering(async () => {
      await Bun.sleep(600);
      return Response.json("1");
    });
    const database = open(url, secretKey, 300);
    expect((await failureOf(database.rpc("x", {}, claims))).code).toBe("database_unavailable");
    expect(await database.rpc("x", {}, claims, { answerBytes: 2_000_000 })).toBe(1);
  });
});

describe("mistakes a person makes are named", () => {
  const page = "<!DOCTYPE html><html><body>Not here. canary</body></html>";
  const html = { headers: { "content-type": "text/html" } };
  const answers: [string, () => Response, RegExp][] = [
    [
      "the schema is not exposed",
      json(406, { code: "PGRST106", message: "The schema must be one of the following: public" }),
      /does not expose the schema mailer_api/,
    ],
    [
      "nothing was migrated",
      json(404, { code: "PGRST202", message: "Could not find the function mailer_api.call_as" }),
      /taskforce-mailer migrate.*supabase db push.*schema\.sql/,
    ],
    [
      "an older schema",
      json(404, { code: "42883", message: "function mailer.nope(text) does not exist" }),
      /taskforce-mailer migrate/,
    ],
    [
      "the key of another project",
      json(401, { message: "Invalid API key", hint: "Double check your Supabase API key." }),
      /SUPABASE_SERVICE_ROLE_KEY must be the service_role key/,
    ],
    ["a broken key", json(401, { code: "PGRST301", message: "JWSError" }), /SERVICE_ROLE_KEY/],
    [
      "the anon key",
      json(401, { code: "42501", message: "permission denied for schema mailer_api" }),
      /SERVICE_ROLE_KEY/,
    ],
    ["the address of a page", () => new Response(page, html), /SUPABASE_URL does not lead/],
    [
      "the address of nothing",
      () => new Response(page, { status: 404, ...html }),
      /SUPABASE_URL does not lead/,
    ],
    ["an empty 404", () => new Response("", { status: 404 }), /SUPABASE_URL does not lead/],
    ["a list with a 404", json(404, []), /SUPABASE_URL does not lead/],
    ["another API", json(200, { hello: "world" }), /SUPABASE_URL does not lead/],
    ["http instead of https", () => Response.redirect("http://127.0.0.1:1/", 301), /over https/],
    ["a paused project", () => new Response("", { status: 540 }), /is paused/],
  ];

  test.each(answers)("%s", async (_name, answer, words) => {
    const failure = await failureOf(open(answering(answer).url).rpc("x", {}, claims));
    expect(failure.code).toBe("database_unavailable");
    expect(failure.words).toMatch(words);
    // A page may quote what was sent to it.
    expect(`${failure.words}${failure.cause}`).not.toContain("canary");
  });

  test("a host that does not exist", async () => {
    const failure = await failureOf(open("https://no-such-project.invalid").ping());
    expect(failure).toMatchObject({ code: "database_unavailable" });
    expect(failure.words).toContain("SUPABASE_URL");
  });

  test("a server that is not there is only not available", async () => {
    const { url } = answering(json(200, "1"));
    for (const close of closers.splice(0)) await close();
    const failure = await failureOf(open(url).ping());
    expect(failure.words).toMatch(/^The database is not available/);
  });

  test("a gateway that refuses the size says so to the caller", async () => {
    const { url } = answering(() => new Response("Request Entity Too Large", { status: 413 }));
    expect((await failureOf(open(url).rpc("x", {}, claims))).code).toBe("payload_too_large");
  });

  test("a fault of our own SQL is an internal error that shows nothing", async () => {
    const { url } = answering(json(409, { code: "23505", message: "canary", details: "canary" }));
    const failure = await failureOf(open(url).rpc("x", {}, claims));
    expect(failure.code).toBe("internal_error");
    expect(failure.words).not.toContain("canary");
  });
});

describe("over a PostgREST", () => {
  let server: SupabaseServer;
  let databaseUrl: string;
  beforeAll(async () => {
    databaseUrl = (await freshDatabase()).url;
    server = await startSupabase({ databaseUrl });
  }, 60_000);
  afterAll(() => server.stop());

  test("a ping is answered through the service key", async () => {
    await open(server.url).ping();
  });

  test("a refusal of ours arrives with its words", async () => {
    const call = open(server.url).rpc("clock", {}, { role: "user", sub: "ada" });
    expect(await failureOf(call)).toMatchObject({
      code: "forbidden",
      words: "The role user may not call clock.",
    });
  });

  test("the publishable key and a wrong one are told by name", async () => {
    for (const key of [publishableKey, "sb_secret_of_some_other_project_a1b2c3d4"]) {
      expect((await failureOf(open(server.url, key).ping())).words).toContain("service_role key");
    }
  });

  test("a message of 34 MB goes in, and comes back", async () => {
    const name = `big_${crypto.randomUUID().slice(0, 8)}`;
    await runOnce(
      databaseUrl,
      `create function mailer.${name}(args text) returns text language sql as
         $$ select json_build_object('bytes', octet_length(args),
              'back', split_part(args, E'\\n', 2))::text $$;
       grant execute on function mailer.${name}(text) to mailer_service;
       insert into mailer.functions values ('${name}', array['ping']);`,
    );
    const line = Buffer.alloc(34_000_000, 7).toString("base64");
    const large = { lines: [line], answerBytes: line.length };
    const answer = (await open(server.url).rpc(name, {}, claims, large)) as Record<string, unknown>;
    expect(answer.bytes).toBe(line.length + 3);
    expect(answer.back === line).toBe(true);
  }, 120_000);
});

describe("a project in which something is missing", () => {
  test("nothing migrated: told what to do, and the same connection works once it is done", async () => {
    const admin = await sharedPostgres();
    const url = await admin.createDatabase(`empty_${crypto.randomUUID().slice(0, 8)}`);
    const server = await startSupabase({ databaseUrl: url });
    closers.push(() => server.stop());
    const database = open(server.url);
    expect((await failureOf(database.ping())).words).toContain("taskforce-mailer migrate");
    await migrateAt(url);
    // The server hears of it by the notification that `migrate` sends.
    const endsAt = performance.now() + 10_000;
    while (performance.now() < endsAt && (await database.ping().catch(() => "no")) === "no");
    await database.ping();
  }, 60_000);

  test("the schema not exposed: told where to do it", async () => {
    const { url } = await freshDatabase();
    const server = await startSupabase({ databaseUrl: url, schemas: ["public"] });
    closers.push(() => server.stop());
    const { words } = await failureOf(open(server.url).ping());
    expect(words).toContain("does not expose the schema mailer_api");
  }, 60_000);
});
