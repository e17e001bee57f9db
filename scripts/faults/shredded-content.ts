import type { Redis } from "ioredis";
import type { EmailHistory } from "./history.ts";
import type { Content } from "./load-changes.ts";
import type { World } from "./world.ts";

/** Columns that must be null once an email is shredded, as `table.column`. */
const columns = {
  emails: ["wrapped_key", "sender", "subject", "failure_group", "failure_domain"],
  contents: ["message", "details"],
  recipients: ["address", "address_index", "reply"],
  attempts: ["reply"],
};

/** Of each shredded email: where something of its content is, by column, and in clear anywhere. */
export async function contentLeftOf(
  world: World,
  emails: Map<string, EmailHistory>,
): Promise<Map<string, string[]>> {
  const shredded = [...emails.values()].filter(({ changes }) =>
    changes.some(({ kind, ackedAt }) => kind === "shred" && ackedAt !== null),
  );
  const places = new Map<string, string[]>(shredded.map(({ id }) => [id, []]));
  if (shredded.length === 0) return places;
  for (const [id, place] of await columnsLeft(world, [...places.keys()])) {
    places.get(id)?.push(place);
  }
  const texts = await clearTexts(world);
  for (const email of shredded) {
    for (const word of wordsOf(email)) {
      for (const [place, text] of texts) {
        if (text.includes(word)) places.get(email.id)?.push(`${place} in clear`);
      }
    }
  }
  return places;
}

async function columnsLeft(world: World, ids: string[]): Promise<[string, string][]> {
  const left: [string, string][] = [];
  for (const [table, names] of Object.entries(columns)) {
    const key = table === "emails" ? "id" : "email_id";
    for (const name of names) {
      const rows = await world.sql<{ id: string }>(
        `select distinct ${key} as id from mailer.${table}
         where ${key} = any ($1) and ${name} is not null`,
        [ids],
      );
      for (const { id } of rows) left.push([id, `mailer.${table}.${name}`]);
    }
  }
  return left;
}

function wordsOf({ content, changes }: EmailHistory): string[] {
  const all = [content, ...changes.map((change) => change.content)];
  return all
    .filter((one): one is Content => one !== null)
    .flatMap(({ subject, body, recipients }) => [subject, body, ...recipients]);
}

/** Everything that is kept anywhere, as text: each table, each Redis, what the processes said. */
async function clearTexts(world: World): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  const tables = await world.sql<{ name: string }>(
    "select tablename as name from pg_tables where schemaname = 'mailer'",
  );
  for (const { name } of tables) {
    const rows = await world.sql<{ line: string }>(`select t::text as line from mailer.${name} t`);
    texts.set(`mailer.${name}`, rows.map(({ line }) => line).join("\n"));
  }
  for (const name of world.regionNames) {
    texts.set(`Redis of ${name}`, await redisText(world.redis(name)));
  }
  const said = world.processes.map(({ output }) => output()).join("\n");
  return texts.set("a process's output", said);
}

async function redisText(redis: Redis): Promise<string> {
  const lines: string[] = [];
  for (const key of await redis.keys("*")) {
    const values: Record<string, () => Promise<unknown>> = {
      string: () => redis.get(key),
      hash: () => redis.hgetall(key),
      list: () => redis.lrange(key, 0, -1),
      set: () => redis.smembers(key),
      zset: () => redis.zrange(key, "0", "-1"),
      stream: () => redis.xrange(key, "-", "+"),
    };
    lines.push(key, JSON.stringify(await values[await redis.type(key)]?.()));
  }
  redis.disconnect();
  return lines.join("\n");
}
