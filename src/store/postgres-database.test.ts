import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, createServer, type Socket } from "node:net";
import { rejection } from "../testing/fixtures/rejection.ts";
import { type PostgresServer, runOnce, startPostgres } from "../testing/servers/postgres-server.ts";
import { type Database, partClaims } from "./database.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

/** Stands in for the product's `call_as`: what is tested here is the driver alone. */
const CALL_AS = `
  create schema mailer_api;
  create function mailer_api.call_as(claims text, fn text, args text) returns text
  language plpgsql as $$
  begin
    if fn = 'echo' then return json_build_object('claims', claims::json, 'args', args::json)::text;
    elsif fn = 'raw' then return args::json->>'text';
    elsif fn = 'sleep' then perform pg_sleep((args::json->>'seconds')::float); return 'null';
    elsif fn = 'nothing' then return null;
    elsif fn = 'refuse' then
      raise exception using errcode = 'TM001', message = 'in_flight', detail = 'Already on its way.';
    end if;
    return (1 / 0)::text;
  end $$;`;

const claims = partClaims("ping");
let server: PostgresServer;
let database: Database;

beforeAll(async () => {
  server = await startPostgres();
  await runOnce(server.url, CALL_AS);
  database = createPostgresDatabase({ url: server.url, poolSize: 4 });
}, 60_000);

afterAll(async () => {
  await database.close();
  await server.stop();
}, 60_000);

describe("a call", () => {
  test("carries claims and arguments as JSON and brings JSON back", async () => {
    const answer = await database.rpc("echo", { subject: 'Grüße \\ "x" \u{1F600}' }, claims);
    expect(answer).toEqual({ claims, args: { subject: 'Grüße \\ "x" \u{1F600}' } });
  });

  test("of a function that returns null answers null", async () => {
    expect(await database.rpc("nothing", {}, claims)).toBeNull();
  });

  test("that our SQL refuses rejects with its code and leaves the pool usable", async () => {
    const calls = Array.from({ length: 12 }, () => database.rpc("refuse", {}, claims));
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({ reason: { code: "in_flight" } });
    }
    await database.ping();
  });

  test("that breaks for another reason is an internal error", async () => {
    expect(await rejection(database.rpc("bug", {}, claims))).toMatchObject({
      code: "internal_error",
    });
  });
});

describe("a database that does not answer", () => {
  test("a call past its deadline rejects, and its late answer reaches nobody", async () => {
    const hasty = createPostgresDatabase({ url: server.url, poolSize: 1, deadlineMs: 300 });
    const startedAt = performance.now();
    expect(await rejection(hasty.rpc("sleep", { seconds: 5 }, claims))).toMatchObject({
      code: "database_unavailable",
    });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(await hasty.rpc("echo", { n: 1 }, claims)).toMatchObject({ args: { n: 1 } });
    await hasty.close();
  });

  test("waiting for a free connection counts against the deadline", async () => {
    const narrow = createPostgresDatabase({ url: server.url, poolSize: 1, deadlineMs: 500 });
    const startedAt = performance.now();
    const calls = Array.from({ length: 3 }, () => narrow.rpc("sleep", { seconds: 5 }, claims));
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({ reason: { code: "database_unavailable" } });
    }
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await narrow.close();
  });

  test("a hung server is given up within the deadline and used again when it wakes", async () => {
    const patient = createPostgresDatabase({ url: server.url, poolSize: 2, deadlineMs: 1_000 });
    await patient.ping();
    server.pause();
    const startedAt = performance.now();
    expect(await rejection(patient.ping())).toMatchObject({ code: "database_unavailable" });
    expect(await rejection(patient.ping())).toMatchObject({ code: "database_unavailable" });
    expect(performance.now() - startedAt).toBeLessThan(4_000);
    server.resume();
    await patient.ping();
    await patient.close();
  }, 20_000);

  test("a connection that fell silent is left behind for a new one", async () => {
    const proxy = await startSilenceableProxy(server.port);
    const url = `postgres://postgres@127.0.0.1:${proxy.port}/postgres`;
    const patient = createPostgresDatabase({ url, poolSize: 1, deadlineMs: 500 });
    await patient.ping();
    proxy.silencePresent();
    expect(await rejection(patient.ping())).toMatchObject({ code: "database_unavailable" });
    await patient.ping();
    await patient.close();
    proxy.close();
  });

  test("a killed server rejects what is under way, and the next call after its return works", async () => {
    const underWay = [0, 1, 2].map(() => database.rpc("sleep", { seconds: 3 }, claims));
    const outcomes = Promise.allSettled(underWay);
    await database.ping();
    await server.kill();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ reason: { code: "database_unavailable" } });
    }
    expect(await rejection(database.ping())).toMatchObject({ code: "database_unavailable" });
    await server.restart();
    await database.ping();
  }, 30_000);

  test("a server that dies as it takes the connection rejects the call, and nothing else", async () => {
    const dying = await startDyingServer();
    const url = `postgres://mailer@127.0.0.1:${dying.port}/mailer`;
    const unlucky = createPostgresDatabase({ url, poolSize: 1, deadlineMs: 1_000 });
    // An error event that nobody hears would end this process, test and all.
    expect(await rejection(unlucky.ping())).toMatchObject({ code: "database_unavailable" });
    await unlucky.close();
    dying.close();
  });

  test("a server that restarts in the usual way is met by new connections", async () => {
    await Promise.all([0, 1, 2, 3].map(() => database.ping()));
    await server.restart();
    await database.ping();
  }, 30_000);
});

/** Says in one packet that the connection is ready and that the postmaster is gone. */
async function startDyingServer() {
  const message = (type: string, body: Buffer) => {
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const lastWords = "SFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0";
  const packet = Buffer.concat([
    message("R", Buffer.alloc(4)),
    message("Z", Buffer.from("I")),
    message("E", Buffer.from(lastWords)),
  ]);
  return await listenOn((client) => {
    client.on("error", () => {});
    client.once("data", () => client.end(packet));
  });
}

/** Passes bytes on, until the connections of the moment are told to swallow them. */
async function startSilenceableProxy(targetPort: number) {
  const present = new Set<Socket>();
  const { port, close } = await listenOn((client) => {
    const target = connect(targetPort, "127.0.0.1");
    present.add(target);
    client.on("data", (chunk) => present.has(target) && target.write(chunk));
    target.on("data", (chunk) => present.has(target) && client.write(chunk));
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      from.on("error", () => {});
      from.on("close", () => to.destroy());
    }
  });
  return { port, silencePresent: () => present.clear(), close };
}

async function listenOn(serve: (client: Socket) => void) {
  const server = createServer(serve);
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    close: () => server.close(),
  };
}
