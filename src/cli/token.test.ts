import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthenticator } from "../auth/jwt.ts";
import { loadOrCreateSecrets } from "../crypto/secrets.ts";
import { runCommand } from "./command.ts";
import { tokenCommand } from "./token.ts";

const folder = mkdtempSync(join(tmpdir(), "token-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const secret = "a secret of enough length";

async function run(args: string[], env: Record<string, string> = { JWT_SECRET: secret }) {
  const written = { stdout: "", stderr: "" };
  const writer = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const io = { stdout: writer("stdout"), stderr: writer("stderr"), isTty: false, env };
  const code = await runCommand(tokenCommand, args, io);
  return { code, ...written };
}

function principalOf(token: string, settings: object = {}) {
  const defaults = { secret, issuer: null, audience: "authenticated" };
  return createAuthenticator({ ...defaults, ...settings }).authenticate(`Bearer ${token.trim()}`);
}

describe("exit 0", () => {
  test("prints a token that the API accepts, alone on one line", async () => {
    const { code, stdout, stderr } = await run(["--sub", "ann"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(await principalOf(stdout)).toMatchObject({ ownerId: "ann", isAdmin: false });
  });

  test("follows --role, JWT_AUDIENCE and JWT_ISSUER", async () => {
    const env = { JWT_SECRET: secret, JWT_AUDIENCE: "mail", JWT_ISSUER: "us" };
    const { stdout } = await run(["--sub", "ops", "--role", "admin"], env);
    const settings = { audience: "mail", issuer: "us" };
    expect(await principalOf(stdout, settings)).toMatchObject({ isAdmin: true });
  });

  test("--json tells when it expires", async () => {
    const { stdout } = await run(["--sub", "ann", "--ttl", "7d", "--json"]);
    const answer = JSON.parse(stdout);
    expect(answer).toMatchObject({ sub: "ann", role: null });
    const days = (Date.parse(answer.expires_at) - Date.now()) / 86_400_000;
    expect(days).toBeCloseTo(7, 2);
    const claims = JSON.parse(Buffer.from(answer.token.split(".")[1], "base64url").toString());
    expect(claims.exp * 1000).toBe(Date.parse(answer.expires_at));
  });

  test("takes the generated secret from DATA_DIR and touches nothing there", async () => {
    const dataDir = join(folder, "generated");
    const none = { encryptionKey: null, jwtSecret: null };
    const { jwtSecret } = loadOrCreateSecrets(dataDir, none);
    const { stdout } = await run(["--sub", "ann"], { DATA_DIR: dataDir });
    expect(await principalOf(stdout, { secret: jwtSecret })).toMatchObject({ ownerId: "ann" });
    expect(readdirSync(dataDir)).toEqual(["secrets.json"]);
  });

  test.each(["--help", "-h"])("%s wins over everything else", async (option) => {
    const { code, stdout } = await run(["--nonsense", option]);
    expect(code).toBe(0);
    expect(stdout).toStartWith("Usage: taskforce-mailer token --sub <id>");
  });
});

describe("exit 1", () => {
  test("without a secret it says where one comes from", async () => {
    const { code, stdout, stderr } = await run(["--sub", "ann"], {
      DATA_DIR: join(folder, "none"),
    });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("start the server once");
  });

  test("a setting that a token needs is reported, and no other one asked for", async () => {
    const { code, stderr } = await run(["--sub", "ann"], { JWT_SECRET: "short", PORT: "x" });
    expect(code).toBe(1);
    expect(stderr).toContain("JWT_SECRET");
    expect(stderr).not.toContain("PORT");
  });

  test("a damaged secrets file is not hidden", async () => {
    writeFileSync(join(folder, "secrets.json"), "{");
    await expect(run(["--sub", "ann"], { DATA_DIR: folder })).rejects.toThrow("holds no secrets");
  });
});

describe("exit 2, with words that help and no token", () => {
  test.each([
    [[], "--sub <id> is required"],
    [["--sub", ""], "--sub <id> is required"],
    [["--sub"], "--sub"],
    [["--sub", "a".repeat(256)], "1 to 255"],
    [["--sub", "ann", "--role", "root"], "admin"],
    [["--sub", "ann", "--ttl", "1"], "--ttl"],
    [["--sub", "ann", "--ttl", "0h"], "--ttl"],
    [["--sub", "ann", "--ttl", "999999999d"], "--ttl"],
    [["--sub", "ann", "--tll", "1h"], "--tll"],
    [["ann"], "ann"],
  ])("%j", async (args, words) => {
    const { code, stdout, stderr } = await run(args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr.split("\n")[0]).toContain(words);
    expect(stderr).toContain("Usage: taskforce-mailer token");
  });
});
