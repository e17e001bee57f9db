import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { guardedFolder } from "../../src/testing/product/product.ts";
import { mainCf, masterCf, queuedIn } from "./postfix.ts";

const settings = Object.fromEntries(
  mainCf("/tmp/one", "/opt/unpacked", 2_525)
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" = ", 2)),
);

test("every folder of the instance is its own, and nothing of /etc is read", () => {
  for (const name of ["queue_directory", "data_directory", "meta_directory", "maillog_file"]) {
    expect(settings[name]).toStartWith("/tmp/one/");
  }
  for (const name of ["daemon_directory", "command_directory", "shlib_directory"]) {
    expect(settings[name]).toStartWith("/opt/unpacked/usr/");
  }
  expect(Object.values(settings).join(" ")).not.toContain("/etc");
  expect(settings.alias_maps).toBe("");
});

test("the daemons find their libraries, although the master clears its environment", () => {
  expect(settings.import_environment).toContain("LD_LIBRARY_PATH=/opt/unpacked/usr/lib/postfix");
});

test("it serves this machine only, and hands everything to the sink without DNS", () => {
  expect(settings.inet_interfaces).toBe("127.0.0.1");
  expect(settings.relayhost).toBe("[127.0.0.1]:2525");
  expect(settings.smtp_dns_support_level).toBe("disabled");
  expect(settings.mydestination).toBe("");
});

test("services have eight fields, no chroot, and the sockets others look for", () => {
  const services = masterCf(2_526)
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" "));
  expect(services[0]?.[0]).toBe("127.0.0.1:2526");
  for (const fields of services) expect(fields).toHaveLength(8);
  for (const [name, , isPrivate, , chroot] of services) {
    expect(chroot).toBe("n");
    // Programs that hand mail in look for these two in queue/public.
    if (name === "cleanup" || name === "qmgr") expect(isPrivate).toBe("n");
  }
});

test("mails are counted wherever they wait, in the folders of the deferred too", () => {
  const queue = guardedFolder("postfix-queue");
  const folders = ["incoming", "active", "deferred/A", "hold", "corrupt", "maildrop", "defer/A"];
  for (const folder of folders) mkdirSync(join(queue, folder), { recursive: true });
  expect(queuedIn(queue)).toBe(0);
  for (const folder of folders) writeFileSync(join(queue, folder, "A1B2"), "");
  // `defer` holds reasons, not mails.
  expect(queuedIn(queue)).toBe(6);
});
