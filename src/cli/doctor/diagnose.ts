import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Config, loadConfig } from "../../config.ts";
import { ConfigError } from "../../config-error.ts";
import { givenOver, loadSecrets, type SecretsInForce } from "../../crypto/secrets.ts";
import { earlierSchema } from "../../doctor/check-database.ts";
import { examine } from "../../doctor/examine.ts";
import { type Finding, failed, type Patient, reasonOf } from "../../doctor/finding.ts";
import { jwtSecretsOf, keyRingOf, openDatabase } from "../../server/parts.ts";
import type { Database } from "../../store/database.ts";
import { FolderInUseError } from "../../store/folder-lock.ts";
import { MovedFolderError } from "../../store/moved-mark.ts";
import { EarlierSchemaError } from "../../store/schema-origin.ts";
import type { CommandIo } from "../command.ts";
import { findServer } from "./ask-server.ts";
import type { DoctorReport } from "./print-report.ts";
import { reconcileHere } from "./reconcile-here.ts";

type Diagnosis = Omit<DoctorReport, "status">;

const movedAdvice = "Set DATABASE_URL to that database, here and for the servers.";

/** Looks from here, or asks the server that has the embedded database. */
export async function diagnose(io: CommandIo, wantsFix: boolean): Promise<Diagnosis> {
  let config: Config;
  try {
    config = loadConfig(io.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { checks: faultsOf(error), fix: null, server: null };
  }
  try {
    return await lookFromHere(config, wantsFix);
  } catch (error) {
    if (error instanceof FolderInUseError) return await lookFromServer(config, wantsFix);
    if (error instanceof EarlierSchemaError)
      return { checks: [earlierSchema(error)], fix: null, server: null };
    if (error instanceof MovedFolderError)
      return { checks: [failed("database", error.message, movedAdvice)], fix: null, server: null };
    const advice = "Look at DATA_DIR: the embedded database must be able to read and write it.";
    return { checks: [failed("database", reasonOf(error), advice)], fix: null, server: null };
  }
}

function faultsOf({ faults }: ConfigError): Finding[] {
  return faults.map(({ name, expected, got, example }) =>
    failed("configuration", `${name}: got ${got}`, `Expected ${expected}; such as ${example}.`),
  );
}

async function lookFromHere(config: Config, wantsFix: boolean): Promise<Diagnosis> {
  const database = await openExisting(config);
  const secrets = secretsOf(config);
  try {
    const key = secrets === null ? null : keyRingOf(config, secrets);
    const { secret: current, secretsOld: former } = config.jwt;
    const jwtSecrets = secrets === null ? { current, former } : jwtSecretsOf(config, secrets);
    const patient: Patient = { config, database, key, jwtSecrets };
    const checks = await examine(patient);
    const canFix = wantsFix && secrets !== null && database !== null;
    if (!canFix) return { checks, fix: null, server: null };
    const { fix, finding } = await reconcileHere(config, database, secrets, checks);
    return { checks: [...checks, finding], fix, server: null };
  } finally {
    await database?.close().catch(() => undefined);
  }
}

/** An embedded database that no server has made yet is not made here either. */
async function openExisting(config: Config): Promise<Database | null> {
  const isEmbedded = config.database.driver === "pglite";
  const isThere = existsSync(join(config.dataDir, "database", "PG_VERSION"));
  return isEmbedded && !isThere ? null : await openDatabase(config);
}

/** Those in force, without making any. */
function secretsOf({ encryptionKey, jwt, dataDir, database }: Config): SecretsInForce | null {
  const isShared = database.driver !== "pglite";
  if (encryptionKey !== null && (jwt.secret !== null || isShared))
    return { encryptionKey, encryptionKeysOld: [], jwtSecret: jwt.secret, jwtSecretsOld: [] };
  const stored = loadSecrets(dataDir);
  if (stored === null) return null;
  return givenOver({ encryptionKey, jwtSecret: jwt.secret }, stored);
}

async function lookFromServer(config: Config, wantsFix: boolean): Promise<Diagnosis> {
  const server = findServer(config);
  const folder = `${config.dataDir} is in use`;
  if (server === null) {
    const advice = "If a server is just starting there, try again; else end what has the folder.";
    const finding = failed("server", `${folder} by a process that left no word`, advice);
    return { checks: [finding], fix: null, server: null };
  }
  try {
    const checks = await server.examine();
    const fix = wantsFix ? await server.reconcile() : null;
    return { checks, fix, server: server.url };
  } catch (error) {
    const saw = `${folder}, and the server at ${server.url} gives no report: ${reasonOf(error)}`;
    const advice = "Look at its log and at /health; run this with the same settings as the server.";
    return { checks: [failed("server", saw, advice)], fix: null, server: server.url };
  }
}
