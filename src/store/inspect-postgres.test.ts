import { expect, test } from "bun:test";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";
import { toCallError } from "./call-error.ts";
import { durabilityFaults } from "./durability.ts";
import { inspectPostgres } from "./inspect-postgres.ts";

test("a database that may lose what it committed is told, setting by setting", async () => {
  const { url } = await freshDatabase();
  expect(durabilityFaults((await inspectPostgres(url)).durability)).toEqual([]);
  const name = new URL(url).pathname.slice(1);
  await runOnce(url, `alter database ${name} set synchronous_commit = off`);
  const { durability } = await inspectPostgres(url);
  expect(durability).toEqual({ fsync: true, fullPageWrites: true, synchronousCommit: "off" });
  expect(durabilityFaults(durability).join()).toMatch(/^synchronous_commit is off/);
  const none = { fsync: false, fullPageWrites: false, synchronousCommit: "off" };
  expect(durabilityFaults(none)).toHaveLength(3);
}, 60_000);

test("a connection without TLS counts as exposed only when it leaves this machine", async () => {
  const { url } = await freshDatabase();
  expect((await inspectPostgres(url)).isExposed).toBe(false);
  // A name of this machine that is not among the ones that say so.
  const elsewhere = new URL(url);
  elsewhere.hostname = "0.0.0.0";
  expect((await inspectPostgres(elsewhere.href)).isExposed).toBe(true);
}, 60_000);

test.each(["DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN", "CERT_HAS_EXPIRED"])(
  "a certificate refused with %s is answered with what to write into DATABASE_URL",
  (code) => {
    const error = toCallError(Object.assign(new Error("self signed certificate"), { code }));
    expect(error.code).toBe("database_unavailable");
    expect(error.publicDetail).toMatch(/sslrootcert=.*sslmode=no-verify/);
  },
);
