import pg from "pg";

/** Other clients of the pooler may get in between; a session that is ours alone shows at once. */
const looksMax = 3;

/**
 * True when `url` leads to a pooler in transaction mode (PgBouncer's 6432, Supabase's 6543, or any
 * other port): two connections that are both open reach the same session in turn, or one of them
 * reaches another one. LISTEN does not work there. Rejects with what `pg` says.
 */
export async function poolsTransactions(url: string): Promise<boolean> {
  const clients = [createClient(url), createClient(url)] as const;
  try {
    for (const client of clients) await client.connect();
    for (let looks = 0; looks < looksMax; looks++) {
      if (await shareSessions(...clients)) return true;
    }
    return false;
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  }
}

function createClient(url: string): pg.Client {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 4_000,
    application_name: "taskforce-mailer doctor",
  });
  client.on("error", () => {});
  return client;
}

async function shareSessions(one: pg.Client, other: pg.Client): Promise<boolean> {
  const session = await sessionOf(one);
  await other.query("begin");
  const held = await sessionOf(other);
  const again = await sessionOf(one);
  await other.query("rollback");
  return held === session || again !== session;
}

async function sessionOf(client: pg.Client): Promise<unknown> {
  const { rows } = await client.query("select pg_backend_pid() as pid");
  return rows[0]?.pid;
}

/** Why the queue cannot live there, and what to do. */
export const poolerWords = {
  saw: "the queue would live behind a pooler in transaction mode, which cannot LISTEN",
  advice:
    "Set REDIS_URL (then all else works through the pooler), or point DATABASE_URL to the " +
    "server itself or to the pooler's session mode (Supabase: port 5432).",
};
