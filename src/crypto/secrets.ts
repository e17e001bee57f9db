import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";

/** The two secrets, as they are kept beside the embedded database. */
export interface Secrets {
  encryptionKey: string;
  /** Former ones that may still open something: a rotation is under way. */
  encryptionKeysOld: readonly string[];
  jwtSecret: string;
  /** Former ones: tokens that they signed still count, until somebody forgets them. */
  jwtSecretsOld: readonly string[];
}

/** Those in force; a null `jwtSecret`: a key set alone verifies tokens, and none is signed here. */
export type SecretsInForce = Omit<Secrets, "jwtSecret"> & { readonly jwtSecret: string | null };

/** What the environment gives; it wins over the file. */
export interface GivenSecrets {
  encryptionKey: string | null;
  jwtSecret: string | null;
}

/**
 * With the embedded database only, and under its folder lock, so that no second process makes
 * others at the same moment. Generated once; a file that cannot be read is never overwritten,
 * since a new key would make everything stored unreadable.
 */
export function loadOrCreateSecrets(dataDir: string, given: GivenSecrets): Secrets {
  if (given.encryptionKey !== null && given.jwtSecret !== null) {
    return {
      encryptionKey: given.encryptionKey,
      encryptionKeysOld: [],
      jwtSecret: given.jwtSecret,
      jwtSecretsOld: [],
    };
  }
  return givenOver(given, loadSecrets(dataDir) ?? createSecrets(dataDir));
}

/** A given secret says by ENCRYPTION_KEYS_OLD or JWT_SECRETS_OLD what it replaces. */
export function givenOver(given: GivenSecrets, stored: Secrets): Secrets {
  return {
    encryptionKey: given.encryptionKey ?? stored.encryptionKey,
    encryptionKeysOld: given.encryptionKey === null ? stored.encryptionKeysOld : [],
    jwtSecret: given.jwtSecret ?? stored.jwtSecret,
    jwtSecretsOld: given.jwtSecret === null ? stored.jwtSecretsOld : [],
  };
}

/**
 * Another generated key, beside which the former is kept until `endRotation`, whatever happens in
 * between. Under the folder's lock. A rotation that was begun before goes on with its own key.
 */
export function beginRotation(dataDir: string): Secrets {
  const stored = loadSecrets(dataDir) ?? createSecrets(dataDir);
  if (stored.encryptionKeysOld.length > 0) return stored;
  const secrets = {
    ...stored,
    encryptionKey: randomKey(),
    encryptionKeysOld: [stored.encryptionKey],
  };
  writeSecrets(dataDir, secrets);
  return secrets;
}

/** Forgets the former key. Only once nothing is left that it opens. */
export function endRotation(dataDir: string): void {
  const stored = loadSecrets(dataDir);
  if (stored !== null) writeSecrets(dataDir, { ...stored, encryptionKeysOld: [] });
}

/**
 * Another generated secret for tokens. The former one verifies beside it until `forgetJwtSecrets`.
 * Under the folder's lock.
 */
export function rotateJwtSecret(dataDir: string): Secrets {
  const stored = loadSecrets(dataDir) ?? createSecrets(dataDir);
  const jwtSecretsOld = [stored.jwtSecret, ...stored.jwtSecretsOld];
  const secrets = { ...stored, jwtSecret: randomKey(), jwtSecretsOld };
  writeSecrets(dataDir, secrets);
  return secrets;
}

/** Forgets the former ones, and says how many there were. Under the folder's lock. */
export function forgetJwtSecrets(dataDir: string): number {
  const stored = loadSecrets(dataDir);
  if (stored === null || stored.jwtSecretsOld.length === 0) return 0;
  writeSecrets(dataDir, { ...stored, jwtSecretsOld: [] });
  return stored.jwtSecretsOld.length;
}

/** Null when the folder has none yet; throws when the file is there but unfit. */
export function loadSecrets(dataDir: string): Secrets | null {
  const path = secretsPath(dataDir);
  const text = readIfPresent(path);
  if (text === null) return null;
  const parsed = parse(text, path);
  const { encryption_key: encryptionKey, jwt_secret: jwtSecret } = parsed;
  const { encryption_keys_old: encryptionKeysOld = [], jwt_secrets_old: jwtSecretsOld = [] } =
    parsed;
  if (typeof encryptionKey !== "string" || typeof jwtSecret !== "string") throw unfit(path);
  if (!isTextList(encryptionKeysOld) || !isTextList(jwtSecretsOld)) throw unfit(path);
  return { encryptionKey, encryptionKeysOld, jwtSecret, jwtSecretsOld };
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function createSecrets(dataDir: string): Secrets {
  const none = { encryptionKeysOld: [], jwtSecretsOld: [] };
  const secrets = { encryptionKey: randomKey(), jwtSecret: randomKey(), ...none };
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  writeSecrets(dataDir, secrets);
  return secrets;
}

function randomKey(): string {
  return randomBytes(32).toString("hex");
}

function writeSecrets(dataDir: string, secrets: Secrets): void {
  const { encryptionKey, encryptionKeysOld, jwtSecret, jwtSecretsOld } = secrets;
  const json = {
    encryption_key: encryptionKey,
    ...(encryptionKeysOld.length === 0 ? {} : { encryption_keys_old: encryptionKeysOld }),
    jwt_secret: jwtSecret,
    ...(jwtSecretsOld.length === 0 ? {} : { jwt_secrets_old: jwtSecretsOld }),
  };
  writeDurably(secretsPath(dataDir), `${JSON.stringify(json, null, 2)}\n`);
}

/** Written aside, synced, then renamed: a crash leaves either no file or a whole one. */
function writeDurably(path: string, text: string): void {
  const aside = `${path}.${randomBytes(4).toString("hex")}`;
  const file = openSync(aside, "wx", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(aside, path);
  syncFolder(dirname(path));
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function secretsPath(dataDir: string): string {
  return join(dataDir, "secrets.json");
}

function readIfPresent(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function parse(text: string, path: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    // The parser's words would quote the secret.
    throw unfit(path);
  }
}

function unfit(path: string): Error {
  return new Error(
    `${path} holds no secrets: restore it from a backup, or set ENCRYPTION_KEY and JWT_SECRET`,
  );
}
