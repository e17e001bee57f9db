import { expect, test } from "bun:test";
import { createLogger } from "../log.ts";
import { SCHEMA_VERSION } from "../store/migrations.ts";
import type { Beat } from "../store/presence.ts";
import { freshDatabase } from "../testing/fresh-database.ts";
import { startPgBouncer } from "../testing/pgbouncer.ts";
import { rejection } from "../testing/rejection.ts";
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
      schemaVersion: async () => SCHEMA_VERSION,
      ...presence,
    },
    clockSkew: { measure: async (_, ask) => void (await ask()) },
    keyRing: { currentKeyId: "id", fingerprint: "f", oldFingerprints: [] },
    log: createLogger({ level: "silent" }),
  };
}

const prepare = (presence: Partial<PrepareDeps["presence"]>) =>
  prepareDatabase(depsWith(presence), new AbortController().signal);

test.each([
  ["of an earlier version", "20261124000009", /schema is of 20261124000009.*migrate.*Nothing/s],
  ["from before it could say", null, /schema is of an earlier release.*migrate/s],
])("a schema %s is refused by name, before anything is written", async (_, version, words) => {
  let beats = 0;
  const refused = prepare({
    schemaVersion: async () => version,
    beat: async () => {
      beats += 1;
      return beat;
    },
  });
  await expect(refused).rejects.toThrow(words);
  expect(beats).toBe(0);
});

test("a newer schema is fine: its release is being rolled out", async () => {
  await prepare({ schemaVersion: async () => "20991231000000" });
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
