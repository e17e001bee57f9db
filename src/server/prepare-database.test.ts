import { expect, test } from "bun:test";
import { createLogger } from "../log.ts";
import { MIGRATIONS, SCHEMA_VERSION } from "../store/migrations.ts";
import type { Beat } from "../store/presence.ts";
import { originOf } from "../store/schema-origin.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { startPgBouncer } from "../testing/servers/pgbouncer.ts";
import { type PrepareDeps, prepareDatabase } from "./prepare-database.ts";

const beat = { now: new Date() } as Beat;

function depsWith(presence: Partial<PrepareDeps["presence"]>): PrepareDeps {
  return {
    config: {
      database: { driver: "pglite" },
      autoMigrate: false,
      queue: { driver: "postgres", url: null },
    },
    presence: {
      beat: async () => beat,
      checkKey: async () => true,
      schemaOrigin: async () => ours,
      ...presence,
    },
    origin: { check: async () => ({ isNew: false, isPaused: false }) },
    pauses: { list: async () => [] },
    clockSkew: { measure: async (_, ask) => void (await ask()) },
    keyRing: { currentKeyId: "id", fingerprint: "f", oldFingerprints: [] },
    log: createLogger({ level: "silent" }),
  };
}

const prepare = (presence: Partial<PrepareDeps["presence"]>) =>
  prepareDatabase(depsWith(presence), new AbortController().signal);

const ours = originOf(MIGRATIONS);

test.each([
  [
    "of an earlier program",
    { version: "20261124000009", digest: null },
    /migration 20261124000009/,
  ],
  ["from before it could say", null, /another program, or of a very early one/],
  [
    "of our version and not of our files",
    { version: SCHEMA_VERSION, digest: "0".repeat(16) },
    /digest 0{16}/,
  ],
])("a schema %s is refused by name, before anything is written", async (_, origin, words) => {
  let beats = 0;
  const refused = await rejection(
    prepare({
      schemaOrigin: async () => origin,
      beat: async () => {
        beats += 1;
        return beat;
      },
    }),
  );
  expect(String(refused)).toMatch(words);
  expect(String(refused)).toMatch(/Nothing was changed.*begin anew.*drop schema if exists mailer/s);
  expect(beats).toBe(0);
});

test("a newer schema is fine: its release is being rolled out", async () => {
  await prepare({ schemaOrigin: async () => ({ version: "20991231000000", digest: "f00d" }) });
});

test("a queue behind a pooler in transaction mode is refused by name, with what to do", async () => {
  const { url } = await freshDatabase();
  const pooler = await startPgBouncer(url);
  const deps = depsWith({});
  const config = { ...deps.config, queue: { driver: "postgres", url: pooler.url } as const };
  const refused = prepareDatabase({ ...deps, config }, new AbortController().signal);
  expect(String(await rejection(refused))).toMatch(/transaction mode.*cannot LISTEN.*REDIS_URL/s);
  await pooler.stop();
}, 60_000);
