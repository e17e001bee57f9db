import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FolderInUseError, type FolderLock, lockFolder } from "./folder-lock.ts";

const folder = mkdtempSync(join(tmpdir(), "mailer-lock-"));
let lock: FolderLock | null = null;

afterEach(() => {
  lock?.release();
  lock = null;
  rmSync(folder, { recursive: true, force: true });
});

/** Another process that takes the lock, says so, and keeps it until it is killed. */
async function holderProcess() {
  const script = `
    const { lockFolder } = await import(${JSON.stringify(join(import.meta.dir, "folder-lock.ts"))});
    globalThis.lock = lockFolder(${JSON.stringify(folder)});
    console.log("locked");
    setInterval(() => {}, 1000);`;
  const holder = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  const { value } = await holder.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toContain("locked");
  return holder;
}

test("a folder held by another process is refused with its name, and free after kill -9", async () => {
  const holder = await holderProcess();
  expect(() => lockFolder(folder)).toThrow(FolderInUseError);
  expect(() => lockFolder(folder)).toThrow(folder);
  holder.kill("SIGKILL");
  await holder.exited;
  lock = lockFolder(folder);
}, 30_000);

test("a released folder can be locked again, a held one not even by ourselves", () => {
  lockFolder(folder).release();
  lock = lockFolder(folder);
  expect(() => lockFolder(folder)).toThrow(FolderInUseError);
});
