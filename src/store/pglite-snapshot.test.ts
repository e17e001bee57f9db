import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  cachedSnapshotPath,
  packSnapshot,
  readCachedSnapshot,
  unpackSnapshot,
  writeCachedSnapshot,
} from "./pglite-snapshot.ts";

const root = mkdtempSync(join(tmpdir(), "mailer-snapshot-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("a folder comes back byte for byte, empty folders included, for our eyes alone", async () => {
  const folder = join(root, "from");
  mkdirSync(join(folder, "base", "1"), { recursive: true });
  mkdirSync(join(folder, "pg_notify"));
  const contents = { PG_VERSION: 3, "base/1/empty": 0, "base/1/block": 512, "base/1/odd": 70_001 };
  for (const [name, sizeBytes] of Object.entries(contents)) {
    writeFileSync(join(folder, name), crypto.getRandomValues(new Uint8Array(sizeBytes % 65_536)));
  }
  writeFileSync(join(folder, "postmaster.pid"), "42");

  const copy = join(root, "to");
  await unpackSnapshot(packSnapshot(folder), copy);

  const names = (of: string) => readdirSync(of, { recursive: true, encoding: "utf8" }).sort();
  expect(names(copy)).toEqual(names(folder).filter((name) => name !== "postmaster.pid"));
  for (const name of Object.keys(contents)) {
    expect(readFileSync(join(copy, name))).toEqual(readFileSync(join(folder, name)));
  }
  expect(statSync(copy).mode & 0o777).toBe(0o700);
  expect(statSync(join(copy, "PG_VERSION")).mode & 0o777).toBe(0o600);
});

test("a cached snapshot is used, unless somebody else could have written it", () => {
  const cacheDir = join(root, "cache");
  expect(readCachedSnapshot(cacheDir)).toBeNull();
  writeCachedSnapshot(cacheDir, Buffer.from("a snapshot"));
  expect(readCachedSnapshot(cacheDir)?.toString()).toBe("a snapshot");
  chmodSync(cachedSnapshotPath(cacheDir), 0o666);
  expect(readCachedSnapshot(cacheDir)).toBeNull();
  chmodSync(cachedSnapshotPath(cacheDir), 0o600);
  chmodSync(cacheDir, 0o777);
  expect(readCachedSnapshot(cacheDir)).toBeNull();
});
