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

/** The two secrets without which nothing starts. */
export interface Secrets {
  encryptionKey: string;
  jwtSecret: string;
}

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
    return { encryptionKey: given.encryptionKey, jwtSecret: given.jwtSecret };
  }
  const stored = loadSecrets(dataDir) ?? createSecrets(dataDir);
  return {
    encryptionKey: given.encryptionKey ?? stored.encryptionKey,
    jwtSecret: given.jwtSecret ?? stored.jwtSecret,
  };
}

/** Null when the folder has none yet; throws when the file is there but unfit. */
export function loadSecrets(dataDir: string): Secrets | null {
  const path = secretsPath(dataDir);
  const text = readIfPresent(path);
  if (text === null) return null;
  const { encryption_key: encryptionKey, jwt_secret: jwtSecret } = parse(text, path);
  if (typeof encryptionKey !== "string" || typeof jwtSecret !== "string") throw unfit(path);
  return { encryptionKey, jwtSecret };
}

function createSecrets(dataDir: string): Secrets {
  const secrets = {
    encryptionKey: randomBytes(32).toString("hex"),
    jwtSecret: randomBytes(32).toString("hex"),
  };
  const { encryptionKey: encryption_key, jwtSecret: jwt_secret } = secrets;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const text = `${JSON.stringify({ encryption_key, jwt_secret }, null, 2)}\n`;
  writeDurably(secretsPath(dataDir), text);
  return secrets;
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
