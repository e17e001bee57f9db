import { isAppError } from "../errors.ts";
import { durabilityFaults } from "../store/durability.ts";
import { createFigureReader } from "../store/figures.ts";
import { inspectPostgres, type PostgresFacts } from "../store/inspect-postgres.ts";
import { directUrlOf } from "../store/migrate-url.ts";
import { EarlierSchemaError } from "../store/schema-origin.ts";
import {
  type Finding,
  failed,
  ok,
  type Patient,
  reasonOf,
  type SeenFigures,
  warning,
} from "./finding.ts";

const oldestVersion = 150_000;

/** Reach, version and schema; and the figures that other checks go on with, when it has any. */
export async function checkDatabase(
  patient: Patient,
): Promise<{ findings: Finding[]; seen: SeenFigures | null }> {
  const { config, database } = patient;
  if (database === null) {
    const saw = `there is none in ${config.dataDir} yet; the server makes it at its first start`;
    return { findings: [ok("database", saw)], seen: null };
  }
  const url = directUrlOf(config.database);
  const direct = url === null ? [] : await checkPostgres(url, config.autoMigrate);
  if (direct.some(({ check, status }) => status !== "ok" && !isAside(check)))
    return { findings: direct, seen: null };
  const { seen, error } = await readFigures(patient);
  if (seen === null) return { findings: [...direct, silent(error)], seen };
  // A direct connection to PostgreSQL has told more than a call can.
  const own = config.database.driver === "postgres" ? [] : [answering(seen, database.driver)];
  return { findings: [...own, ...direct], seen };
}

/** Checks that only warn; the checks after them go on. */
function isAside(check: string): boolean {
  return check === "durability" || check === "database tls";
}

async function readFigures({ database }: Patient) {
  if (database === null) return { seen: null, error: null };
  try {
    const startedAt = Date.now();
    const figures = await createFigureReader(database).read();
    // The middle of the way there and back.
    const askedAt = new Date((startedAt + Date.now()) / 2);
    return { seen: { figures, askedAt }, error: null };
  } catch (error) {
    return { seen: null, error };
  }
}

function answering({ figures }: SeenFigures, driver: string): Finding {
  return ok("database", `PostgreSQL ${figures.serverVersion} (${driver}) answers`);
}

function silent(error: unknown): Finding {
  const words = isAppError(error) ? error.publicDetail : "";
  const saw = `a call failed: ${reasonOf(error)}`;
  const advice = /schema is missing/.test(words)
    ? words
    : "Check the database's address and key, and that it runs.";
  return failed("database", saw, advice);
}

async function checkPostgres(url: string, autoMigrate: boolean): Promise<Finding[]> {
  try {
    const facts = await inspectPostgres(url);
    return [
      judgeVersion(facts),
      judgeMigrations(facts, autoMigrate),
      judgeDurability(facts),
      judgeEncryption(facts),
    ];
  } catch (error) {
    if (error instanceof EarlierSchemaError) return [earlierSchema(error)];
    return [failed("database", `cannot connect: ${reasonOf(error)}`, adviceFor(error))];
  }
}

/** Also of a folder: whatever opens it refuses such a schema. */
export function earlierSchema({ saw, command }: EarlierSchemaError): Finding {
  return failed("schema", `the database holds ${saw}`, `Begin anew without it: ${command}`);
}

function judgeDurability({ durability }: PostgresFacts): Finding {
  const faults = durabilityFaults(durability);
  if (faults.length === 0) return ok("durability", "what PostgreSQL commits is on its disk");
  const advice =
    "Set fsync, full_page_writes and synchronous_commit to on in postgresql.conf, or accept that " +
    "a crash of the database's machine loses what was answered 201.";
  return warning("durability", faults.join("; "), advice);
}

function judgeEncryption({ isExposed }: PostgresFacts): Finding {
  if (!isExposed)
    return ok("database tls", "the connection is encrypted, or stays on this machine");
  return warning(
    "database tls",
    "the database is on another machine and the connection is not encrypted",
    "Add sslmode=verify-full (and sslrootcert=/path/to/ca.pem where the provider has its own CA) " +
      "to DATABASE_URL.",
  );
}

function adviceFor(error: unknown): string {
  if (isAppError(error)) return error.publicDetail;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (/^28/.test(code)) return "Check the user and the password in DATABASE_URL.";
  if (code === "3D000") return "Create that database, or correct its name in DATABASE_URL.";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return "Check the host in DATABASE_URL for a typing error, and the DNS.";
  }
  return "Check the host and the port in DATABASE_URL, that PostgreSQL runs, and the firewall.";
}

function judgeVersion({ version, versionNumber, tookMs }: PostgresFacts): Finding {
  const saw = `PostgreSQL ${version} answers in ${Math.round(tookMs)} ms`;
  if (versionNumber >= oldestVersion) return ok("database", saw);
  return failed("database", saw, "Move to PostgreSQL 15 or newer.");
}

function judgeMigrations({ migrations }: PostgresFacts, autoMigrate: boolean): Finding {
  const missing = migrations.filter(({ isApplied }) => !isApplied);
  if (missing.length === 0) return ok("schema", `all ${migrations.length} migrations are applied`);
  const isNew = missing.length === migrations.length;
  if (isNew && autoMigrate) {
    return warning(
      "schema",
      "the database is empty",
      "The server sets it up when it starts; so does `taskforce-mailer migrate`.",
    );
  }
  const saw = `${missing.length} of ${migrations.length} migrations are missing`;
  const names = missing.map(({ version, name }) => `${version}_${name}`).join(", ");
  const also = autoMigrate ? ", or start the server, which does it first" : "";
  return failed("schema", `${saw}: ${names}`, `Run \`taskforce-mailer migrate\`${also}.`);
}
