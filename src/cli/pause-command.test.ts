import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Database } from "../store/database.ts";
import { createPauses } from "../store/pauses.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { freshDatabase } from "../testing/fresh-database.ts";
import { type Command, runCommand } from "./command.ts";
import { pauseCommand, resumeCommand } from "./pause-command.ts";

setDefaultTimeout(60_000);

let database: Database;
let env: Record<string, string>;
beforeAll(async () => {
  const { url } = await freshDatabase();
  database = createPostgresDatabase({ url });
  env = {
    DATABASE_URL: url,
    REGION: "ams",
    TRANSPORT: "capture",
    ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
    JWT_SECRET: "a-secret-only-these-tests-know",
  };
});
afterAll(() => database?.close());

async function run(command: Command, args: string[], settings = env) {
  const written = { stdout: "", stderr: "" };
  const writer = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const io = { stdout: writer("stdout"), stderr: writer("stderr"), isTty: false, env: settings };
  return { code: await runCommand(command, args, io), ...written };
}

describe("exit 0", () => {
  test("pause and resume of the region of the settings, in words", async () => {
    const paused = await run(pauseCommand, ["--reason", "wrong template"]);
    expect(paused).toMatchObject({ code: 0, stderr: "" });
    expect(paused.stdout).toMatch(
      /^sending of the region ams is paused since \S+Z by cli \(wrong template\)\n$/,
    );
    expect(await createPauses(database).list()).toMatchObject([
      { kind: "region", name: "ams", pausedBy: "cli", reason: "wrong template" },
    ]);
    const resumed = await run(resumeCommand, []);
    expect(resumed).toEqual({ code: 0, stdout: "sending of the region ams goes on\n", stderr: "" });
    const again = await run(resumeCommand, ["--reason", "once more"]);
    expect([again.code, again.stdout]).toEqual([0, "sending of the region ams was not paused\n"]);
    expect(await createPauses(database).list()).toEqual([]);
  });

  test("with --json as the API answers", async () => {
    const paused = await run(pauseCommand, ["--owner", "bob", "--reason", "a flood", "--json"]);
    expect(JSON.parse(paused.stdout)).toEqual({
      ...{ kind: "owner", name: "bob", paused_by: "cli", reason: "a flood" },
      paused_at: expect.stringMatching(/Z$/),
    });
    const resumed = await run(resumeCommand, ["--owner", "bob", "--json"]);
    expect(JSON.parse(resumed.stdout)).toEqual({ kind: "owner", name: "bob", was_paused: true });
  });
});

describe("exit 2, before anything is opened", () => {
  test.each([
    [pauseCommand, []],
    [pauseCommand, ["--reason", ""]],
    [pauseCommand, ["--reason", "a\nb"]],
    [pauseCommand, ["--region", "ams", "--owner", "bob", "--reason", "a"]],
    [pauseCommand, ["--region", "A b", "--reason", "a"]],
    [resumeCommand, ["--owner", ""]],
    [resumeCommand, ["ams"]],
    [resumeCommand, ["--all"]],
  ] as [Command, string[]][])("%#", async (command, args) => {
    const { code, stderr } = await run(command, args, { DATABASE_URL: "no url at all" });
    expect(code).toBe(2);
    expect(stderr).toContain(`Usage: taskforce-mailer ${command.name}`);
  });
});
