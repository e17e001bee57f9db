import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import {
  checkpointKey,
  createShortJournal,
  type ShortJournal,
} from "../testing/product/short-journal.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { auditCommand } from "./audit.ts";

setDefaultTimeout(60_000);

let url: string;
let sql: DirectSql;
let journal: ShortJournal;
let close: () => Promise<void>;
let folder: string;
/** Printed before entries up to there were dropped; `early` before some of them were written. */
let [early, atDrop, before, dropped] = ["", "", "", 0];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "audit-"));
  ({ url } = await freshDatabase());
  const database = createPostgresDatabase({ url });
  close = () => database.close();
  sql = await directSql(database);
  journal = createShortJournal(database, sql);
  await journal.write(["ada", "once"]);
  early = await kept("early.json", (await run(["checkpoint"])).stdout);
  await journal.write(["ada", "bob"]);
  dropped = await journal.keep();
  atDrop = await kept("at-drop.json", (await run(["checkpoint"])).stdout);
  before = await kept("before.ndjson", (await run(["export"])).stdout);
  await journal.age(100);
  await journal.write(["ada"]);
  expect(await journal.drop(30)).toMatchObject({ position: dropped });
});
afterAll(async () => {
  await sql?.close();
  await close?.();
  await rm(folder, { recursive: true, force: true });
});

async function kept(name: string, text: string): Promise<string> {
  await Bun.write(join(folder, name), text);
  return join(folder, name);
}

async function run(args: string[]) {
  const printed = { stdout: "", stderr: "" };
  const code = await auditCommand.run(args, {
    stdout: { write: (text) => (printed.stdout += text) },
    stderr: { write: (text) => (printed.stderr += text) },
    env: {
      ...{ DATABASE_URL: url, TRANSPORT: "capture", JWT_SECRET: "a secret of these tests, long" },
      ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
    },
    isTty: false,
  });
  return { code, ...printed };
}

const words = (key: string) =>
  new RegExp(
    `^verified from position 5 on; what was before was dropped on \\d{4}-\\S+Z, vouched for by the checkpoint of position 4, signed by ${key.replace(/[+/]/g, "\\$&")}$`,
    "m",
  );

test("verify says from where it verifies, in the database and in an export", async () => {
  const database = await run(["verify"]);
  expect(database).toMatchObject({ code: 0, stderr: "" });
  expect(database.stdout).toMatch(/^ok: 2 entries of 4 owners verified, to position 6$/m);
  expect(database.stdout).toMatch(words(checkpointKey.publicKey));
  const file = await kept("after.ndjson", (await run(["export"])).stdout);
  expect((await run(["verify", file])).stdout).toMatch(words(checkpointKey.publicKey));
  const answer = { ok: true, checked: 2, first_broken: null, verified_from: 5 };
  for (const args of [
    ["verify", "--json"],
    ["verify", file, "--json"],
  ]) {
    expect(JSON.parse((await run(args)).stdout)).toMatchObject({
      ...answer,
      dropped_checkpoint: 4,
    });
  }
});

test("of one owner's chain it says that the anchor is the database's own word", async () => {
  const own = await kept("own.ndjson", (await run(["export", "--owner", "ada"])).stdout);
  const whole = await kept("after.ndjson", (await run(["export"])).stdout);
  for (const args of [[], [own], [whole]]) {
    const { code, stdout } = await run(["verify", ...args, "--owner", "ada"]);
    expect([code, stdout]).toEqual([0, expect.stringContaining("ok: 1 entries of 1 owners")]);
    expect(stdout).toContain("which only the database itself says of one owner's chain");
  }
});

test("a checkpoint of the drop or after it still proves, one of before is refused by its reason", async () => {
  for (const file of [[], [await kept("after.ndjson", (await run(["export"])).stdout)]]) {
    expect((await run(["verify", ...file, "--checkpoint", atDrop])).code).toBe(0);
    const { code, stderr } = await run(["verify", ...file, "--checkpoint", early]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("at position 2 was dropped since")]);
  }
});

test("an export of before verifies as ever, against the checkpoint that vouches for it, too", async () => {
  for (const checkpoint of [early, atDrop]) {
    const { code, stdout } = await run(["verify", before, "--checkpoint", checkpoint]);
    expect([code, stdout]).toEqual([0, "ok: 4 entries of 3 owners verified, to position 4\n"]);
  }
});
