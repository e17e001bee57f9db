import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Database } from "../store/database.ts";
import { createPauses } from "../store/pauses.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { type Command, runCommand } from "./command.ts";
import { pauseCommand, resumeCommand } from "./pause.ts";

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
      /^sending of the region ams is paused since \S+Z by taskforce-mailer:cli \(wrong template\)\n$/,
    );
    expect(await createPauses(database).list()).toMatchObject([
      { kind: "region", name: "ams", pausedBy: "taskforce-mailer:cli", reason: "wrong template" },
    ]);
    const resumed = await run(resumeCommand, []);
    expect(resumed).toEqual({ code: 0, stdout: "sending of the region ams goes on\n", stderr: "" });
    const again = await run(resumeCommand, ["--reason", "once more"]);
    expect([again.code, again.stdout]).toEqual([0, "sending of the region ams was not paused\n"]);
    expect(await createPauses(database).list()).toEqual([]);
  });

  test("a pause needs no reason: in an emergency it is one word", async () => {
    expect((await run(pauseCommand, [])).stdout).toContain("(no reason given)");
    expect((await run(resumeCommand, [])).code).toBe(0);
  });

  test("with --json as the API answers", async () => {
    const paused = await run(pauseCommand, ["--owner", "bob", "--reason", "a flood", "--json"]);
    expect(JSON.parse(paused.stdout)).toEqual({
      ...{ kind: "owner", name: "bob", paused_by: "taskforce-mailer:cli", reason: "a flood" },
      paused_at: expect.stringMatching(/Z$/),
    });
    const resumed = await run(resumeCommand, ["--owner", "bob", "--json"]);
    expect(JSON.parse(resumed.stdout)).toEqual({ kind: "owner", name: "bob", was_paused: true });
  });
});

test("resume --restored says when the database was not restored", async () => {
  const { code, stdout } = await run(resumeCommand, ["--restored", "--hold"]);
  expect([code, stdout]).toEqual([
    0,
    "sending was not paused: this database was not found restored or copied\n",
  ]);
  const json = await run(resumeCommand, ["--restored", "--json"]);
  expect(JSON.parse(json.stdout)).toEqual({
    ...{ kind: "database", name: "restored", was_paused: false, held: 0 },
  });
});

describe("exit 2, before anything is opened", () => {
  test.each([
    [pauseCommand, ["--reason", ""]],
    [pauseCommand, ["--reason", "a\nb"]],
    [pauseCommand, ["--region", "ams", "--owner", "bob", "--reason", "a"]],
    [pauseCommand, ["--region", "A b", "--reason", "a"]],
    [pauseCommand, ["--region", "-a", "--reason", "a"]],
    [resumeCommand, ["--owner", ""]],
    [resumeCommand, ["ams"]],
    [resumeCommand, ["--all"]],
    [resumeCommand, ["--hold"]],
    [resumeCommand, ["--restored", "--owner", "bob"]],
    [pauseCommand, ["--restored", "--reason", "a"]],
  ] as [Command, string[]][])("%#", async (command, args) => {
    const { code, stderr } = await run(command, args, { DATABASE_URL: "no url at all" });
    expect(code).toBe(2);
    expect(stderr).toContain(`Usage: taskforce-mailer ${command.name}`);
  });
});
