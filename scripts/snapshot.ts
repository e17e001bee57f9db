/**
 * Writes the snapshot that the compiled binary carries, so that its first start need not run
 * initdb and the migrations: `bun scripts/snapshot.ts dist/pglite-snapshot.tar.gz`.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { migrateQueueTables } from "../src/queue/postgres-queue-backend.ts";
import { buildSnapshot } from "../src/store/pglite-database.ts";
import type { PgliteEngine } from "../src/store/pglite-engine.ts";
import { createPglitePool } from "../src/store/pglite-pool.ts";

const [target] = process.argv.slice(2);
if (target === undefined) {
  console.error("usage: bun scripts/snapshot.ts <file.tar.gz>");
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), "taskforce-mailer-snapshot-"));
try {
  const snapshot = await buildSnapshot(join(folder, "database"), (pglite) => {
    const engine: PgliteEngine = {
      use: (work) => work(pglite),
      onReplaced: () => () => {},
      close: async () => {},
    };
    return migrateQueueTables({
      createPool: (searchPath) => createPglitePool({ engine, searchPath }),
    });
  });
  mkdirSync(dirname(target), { recursive: true });
  await Bun.write(target, snapshot);
  console.log(`${target}: ${(snapshot.length / 1e6).toFixed(1)} MB`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
