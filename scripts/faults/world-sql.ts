import pg from "pg";

/** One connection, made anew when it was lost: the server is killed in some of the faults. */
export function createSql(url: () => string) {
  let client: pg.Client | null = null;
  // One query at a time: a client of `pg` takes no second one while it runs.
  let last: Promise<unknown> = Promise.resolve();

  function query<Row>(text: string, params: unknown[] = []): Promise<Row[]> {
    const answer = last.then(() => ask<Row>(text, params));
    last = answer.catch(() => undefined);
    return answer;
  }

  async function ask<Row>(text: string, params: unknown[]): Promise<Row[]> {
    if (!client) {
      const fresh = new pg.Client({ connectionString: url(), connectionTimeoutMillis: 5_000 });
      fresh.on("error", () => {
        if (client === fresh) client = null;
      });
      await fresh.connect();
      client = fresh;
    }
    const { rows } = await client.query(text, params);
    return rows as Row[];
  }
  return {
    query,
    async close() {
      await client?.end().catch(() => undefined);
    },
  };
}
