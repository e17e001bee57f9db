import { afterEach, expect, test } from "bun:test";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  beginRotation,
  endRotation,
  forgetJwtSecrets,
  givenOver,
  loadOrCreateSecrets,
  loadSecrets,
  rotateJwtSecret,
} from "./secrets.ts";

const none = { encryptionKey: null, jwtSecret: null };
const folders: string[] = [];

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "secrets-test-"));
  folders.push(folder);
  return join(folder, "data");
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

test("secrets are made once, for the owner's eyes only, and kept", () => {
  const folder = newFolder();
  const made = loadOrCreateSecrets(folder, none);
  expect(made.encryptionKey).toMatch(/^[0-9a-f]{64}$/);
  expect(made.jwtSecret).not.toBe(made.encryptionKey);
  expect(loadOrCreateSecrets(folder, none)).toEqual(made);
  expect(loadSecrets(folder)).toEqual(made);
  expect(statSync(join(folder, "secrets.json")).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["secrets.json"]);
});

test("the environment wins, one by one", () => {
  const folder = newFolder();
  const made = loadOrCreateSecrets(folder, none);
  const given = { encryptionKey: null, jwtSecret: "from the environment" };
  expect(loadOrCreateSecrets(folder, given)).toEqual({ ...made, jwtSecret: given.jwtSecret });
});

test("another secret for tokens leaves the former beside it until somebody forgets it", () => {
  const folder = newFolder();
  const made = loadOrCreateSecrets(folder, none);
  const { jwtSecret: second } = rotateJwtSecret(folder);
  const { jwtSecret: third } = rotateJwtSecret(folder);
  expect(new Set([made.jwtSecret, second, third]).size).toBe(3);
  const between = { ...made, jwtSecret: third, jwtSecretsOld: [second, made.jwtSecret] };
  expect(loadSecrets(folder)).toEqual(between);
  expect(statSync(join(folder, "secrets.json")).mode & 0o777).toBe(0o600);
  // The other rotation has a list of its own.
  const { encryptionKey } = beginRotation(folder);
  endRotation(folder);
  expect(loadSecrets(folder)).toEqual({ ...between, encryptionKey });
  // A secret of the environment says by JWT_SECRETS_OLD what it replaces.
  const given = { encryptionKey: null, jwtSecret: "from the environment" };
  const { encryptionKey: first } = made;
  expect(givenOver(given, between)).toEqual({
    ...between,
    ...given,
    encryptionKey: first,
    jwtSecretsOld: [],
  });
  expect([forgetJwtSecrets(folder), forgetJwtSecrets(folder)]).toEqual([2, 0]);
  expect(loadSecrets(folder)).toEqual({ ...made, encryptionKey, jwtSecret: third });
});

test("nothing is written when the environment gives both", () => {
  const folder = newFolder();
  loadOrCreateSecrets(folder, { encryptionKey: "a", jwtSecret: "b" });
  expect(loadSecrets(folder)).toBeNull();
});

test.each([
  "",
  "{",
  '{"encryption_key":"a","jwt_secret":"canary","jwt_secrets_old":"canary"}',
  '{"encryption_key":"canary"',
  "null",
  '{"encryption_key":"canary"}',
])("a damaged file %j is neither overwritten nor quoted", (text) => {
  const folder = newFolder();
  loadOrCreateSecrets(folder, none);
  const path = join(folder, "secrets.json");
  writeFileSync(path, text);
  chmodSync(path, 0o600);
  expect(() => loadOrCreateSecrets(folder, none)).toThrow(/holds no secrets/);
  expect(() => loadOrCreateSecrets(folder, none)).not.toThrow(/canary/);
  expect(readFileSync(path, "utf8")).toBe(text);
});
