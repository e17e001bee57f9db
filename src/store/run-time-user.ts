import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import pg from "pg";
import type { MigrationSession } from "./migrate.ts";

const iterations = 4096;

/**
 * Makes the user whom everything but `migrate` logs in as, or gives it its password again: a member
 * of `mailer_client`, who may call `mailer_api.call_as` and nothing else. Throws where a user of that
 * name may do more than that: a mistyped name must not hand the program a superuser.
 */
export async function ensureRunTimeUser(
  session: MigrationSession,
  { name, password }: { name: string; password: string },
): Promise<void> {
  const user = pg.escapeIdentifier(name);
  const [known] = await session.query(
    `select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls
       or pg_has_role(oid, 'mailer_owner', 'member') or pg_has_role(oid, 'mailer_service', 'member')
       or pg_has_role(oid, 'mailer_dropper', 'member')
       as "mayMore"
     from pg_catalog.pg_roles where rolname = $1`,
    [name],
  );
  if (known?.mayMore === true) {
    throw new Error(
      `POSTGRES_RUN_TIME_USER: the user ${name} exists and may do more than the program needs at run ` +
        "time. Name another one, or drop it.",
    );
  }
  if (known === undefined) await session.exec(`create role ${user} login`);
  // Only the verifier crosses the wire: a log of statements shows no password.
  await session.exec(`alter role ${user} login password ${pg.escapeLiteral(verifierOf(password))}`);
  await session.exec(`grant mailer_client to ${user}`);
}

/** As PostgreSQL keeps a password (RFC 5803), made here. */
function verifierOf(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const hmac = (text: string) => createHmac("sha256", salted).update(text).digest();
  const storedKey = createHash("sha256").update(hmac("Client Key")).digest("base64");
  const serverKey = hmac("Server Key").toString("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey}:${serverKey}`;
}
