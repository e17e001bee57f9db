import { expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rejection } from "../testing/fixtures/rejection.ts";
import { copyFolder } from "./copy-folder.ts";

function folderOf(files: Record<string, string>): { from: string; to: string } {
  const root = mkdtempSync(join(tmpdir(), "taskforce-mailer-test-copy-"));
  const from = join(root, "database");
  mkdirSync(join(from, "base"), { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(from, name), text);
    // Long ago, so that the second pass may trust the first.
    utimesSync(join(from, name), 1_000, 1_000);
  }
  return { from, to: join(root, "copy") };
}

test("what changes, comes and goes before others are kept away is as it is then", async () => {
  const { from, to } = folderOf({ same: "a", changed: "b", gone: "c", "base/1": "d" });
  const { sizeBytes } = await copyFolder(from, to, async (rest) => {
    // The first pass is over; a server wrote meanwhile.
    appendFileSync(join(from, "changed"), "b");
    writeFileSync(join(from, "base", "2"), "new");
    rmSync(join(from, "gone"));
    // A second pass that copied everything again would undo this.
    writeFileSync(join(to, "same"), "untouched");
    return await rest();
  });
  const read = (name: string) => readFileSync(join(to, name), "utf8");
  expect(["same", "changed", "base/1", "base/2"].map(read)).toEqual([
    "untouched",
    "bb",
    "d",
    "new",
  ]);
  expect(existsSync(join(to, "gone"))).toBe(false);
  expect(sizeBytes).toBe(1 + 2 + 1 + 3);
  rmSync(join(from, ".."), { recursive: true });
});

test("a file that changed within the clock's last tick is copied again, though nothing tells", async () => {
  const { from, to } = folderOf({});
  writeFileSync(join(from, "hot"), "old");
  const now = new Date();
  utimesSync(join(from, "hot"), now, now);
  await copyFolder(from, to, async (rest) => {
    writeFileSync(join(from, "hot"), "new");
    utimesSync(join(from, "hot"), now, now);
    return await rest();
  });
  expect(readFileSync(join(to, "hot"), "utf8")).toBe("new");
  rmSync(join(from, ".."), { recursive: true });
});

test("nothing is left of a copy that failed", async () => {
  const { from, to } = folderOf({ a: "a" });
  const full = rejection(
    copyFolder(from, to, async () => {
      throw new Error("no space");
    }),
  );
  expect(String(await full)).toContain("no space");
  expect(existsSync(to)).toBe(false);
  rmSync(join(from, ".."), { recursive: true });
});
