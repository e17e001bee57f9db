import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createEndings, readEndedTokens } from "../store/endings.ts";
import { createPostgresDatabase, type PostgresDatabase } from "../store/postgres-database.ts";
import { createSessionStore } from "../store/sessions.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { type Command, runCommand } from "./command.ts";
import { sessionsCommand, tokensCommand } from "./end-credentials.ts";

setDefaultTimeout(60_000);

let env: Record<string, string>;
let database: PostgresDatabase;
beforeAll(async () => {
  const { url } = await freshDatabase();
  database = createPostgresDatabase({ url });
  env = {
    ...{ DATABASE_URL: url, TRANSPORT: "capture", JWT_SECRET: "sixteen letters." },
    ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
  };
});
afterAll(() => database?.close());

async function run(command: Command, args: string[]) {
  const written = { stdout: "", stderr: "" };
  const writer = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const io = { stdout: writer("stdout"), stderr: writer("stderr"), isTty: false, env };
  return { code: await runCommand(command, args, io), ...written };
}

async function signIn(ownerId: string): Promise<void> {
  const ground = "ab".repeat(32);
  await createSessionStore(database).start({
    ...{ hash: Bun.randomUUIDv7().replaceAll("-", "").repeat(2), replaces: null, ground },
    ...{ ownerId, isAdmin: false, via: "token", lastsSeconds: 60, origin: null },
    ...{ signingKey: null, tokenExpiresAt: null, refresh: null },
  });
}

describe("exit 0", () => {
  test("sessions end says how many of an owner's, or of everybody's", async () => {
    for (const owner of ["ada", "ada", "bob"]) await signIn(owner);
    const ada = await run(sessionsCommand, ["end", "--owner", "ada"]);
    expect(ada).toEqual({ code: 0, stdout: "2 sessions ended\n", stderr: "" });
    const all = await run(sessionsCommand, ["end", "--all", "--json"]);
    expect(JSON.parse(all.stdout)).toEqual({ owner: null, ended: 1 });
    await signIn("eve");
    expect((await run(sessionsCommand, ["end"])).stdout).toBe("1 sessions ended\n");
  });

  test("tokens end returns once a token that is made then counts", async () => {
    const ended = await run(tokensCommand, ["end", "--sub", "ada", "--json"]);
    const { not_before } = JSON.parse(ended.stdout);
    expect(Date.now()).toBeGreaterThanOrEqual(new Date(not_before).getTime());
    expect((await readEndedTokens(database)).get("ada")).toEqual(new Date(not_before));
    const again = await run(tokensCommand, ["end", "--sub", "ada"]);
    expect(again.stdout).toStartWith("tokens of ada count when they are issued from ");
    const admin = { claims: { role: "admin", sub: "root" }, origin: null } as const;
    const later = await createEndings(database).tokens("ada", admin);
    expect(later.notBefore > new Date(not_before)).toBe(true);
  });
});

test("tokens rotate leaves a secret that is given alone, and says where it is changed", async () => {
  for (const args of [["rotate"], ["rotate", "--forget"]]) {
    await expect(run(tokensCommand, args)).rejects.toThrow("JWT_SECRETS_OLD");
  }
});

test.each<[Command, string[]]>([
  [sessionsCommand, []],
  [sessionsCommand, ["end", "--owner", "ada", "--all"]],
  [sessionsCommand, ["end", "--owner", ""]],
  [tokensCommand, ["end"]],
  [tokensCommand, ["start", "--sub", "ada"]],
  [tokensCommand, ["rotate", "--sub", "ada"]],
  [tokensCommand, ["rotate", "now"]],
  [tokensCommand, ["end", "ada"]],
])("exit 2 (%#)", async (command, args) => {
  expect((await run(command, args)).code).toBe(2);
});
