import pg from "pg";
import { createHeldJudge, type HeldBy } from "./held-judge.ts";
import type { Violation } from "./oracle.ts";
import type { ProductProcess, World } from "./world.ts";

/** Looks once a second, during the harm and until all is at rest, whether I11 holds. */
export interface HeldWatch {
  /** How many looks were whole: rows read, and every living process asked. */
  readonly looks: number;
  /** Ends it, and says what it has found. */
  stop(): Promise<Violation[]>;
}

const everyMs = 1_000;
/** A process that is stopped or cut off must not hold up the look at the others. */
const answerMsMax = 2_000;

export function watchHeld(world: World): HeldWatch {
  const judge = createHeldJudge();
  const reader = createReader(world.directUrl);
  const stopping = Promise.withResolvers<void>();
  let isStopped = false;
  let looks = 0;

  async function look(): Promise<void> {
    // Nobody but the process can look into it.
    if (world.isEmbedded) return;
    try {
      const { claims, beats } = await reader.read();
      // Asked only now: what was claimed before the rows were read and answered since is held.
      const workers = await holdersOf(world.processes, beats);
      judge.look({ at: performance.now(), claims, workers });
      looks += 1;
    } catch {
      // The database is down or hangs, which is what some faults are about.
      judge.skip();
    }
  }

  const running = (async () => {
    while (!isStopped) {
      await look();
      await Promise.race([Bun.sleep(everyMs), stopping.promise]);
    }
  })();

  return {
    get looks() {
      return looks;
    },
    async stop() {
      isStopped = true;
      stopping.resolve();
      await running;
      await reader.close();
      return judge.violations();
    },
  };
}

type Claims = { id: string; token: number; workerId: string; isFenced: boolean }[];

/** A connection of its own, past every proxy, made anew after each failure. */
function createReader(url: string) {
  let client: pg.Client | null = null;

  async function open(): Promise<pg.Client> {
    const fresh = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: answerMsMax,
      query_timeout: answerMsMax,
    });
    fresh.on("error", () => undefined);
    await fresh.connect();
    return fresh;
  }

  return {
    async read(): Promise<{ claims: Claims; beats: Map<string, string> }> {
      try {
        client ??= await open();
        const claims = await client.query<Claims[number]>(
          `select id, claim_token::int as token, worker_id as "workerId",
             fenced_at is not null as "isFenced" from mailer.emails
           where state = 'sending' and next_attempt_at <= clock_timestamp()`,
        );
        const beats = await client.query<{ id: string; beat: string }>(
          "select id, beat_at::text as beat from mailer.workers",
        );
        return {
          claims: claims.rows,
          beats: new Map(beats.rows.map(({ id, beat }) => [id, beat])),
        };
      } catch (error) {
        const broken = client;
        client = null;
        // It may hang in a query; its end is not waited for.
        void broken?.end().catch(() => undefined);
        throw error;
      }
    },
    async close() {
      const last = client;
      client = null;
      await last?.end().catch(() => undefined);
    },
  };
}

async function holdersOf(
  processes: readonly ProductProcess[],
  beats: ReadonlyMap<string, string>,
): Promise<Map<string, HeldBy>> {
  const living = processes.filter(({ hasEnded, role }) => !hasEnded && role !== "api");
  const asked = living.map(async (process): Promise<[string, HeldBy]> => {
    const beat = beats.get(process.workerId) ?? "";
    return [process.workerId, { beat, held: await heldBy(process) }];
  });
  return new Map(await Promise.all(asked));
}

/** Only the build with fail-points answers this. */
async function heldBy({ url }: ProductProcess): Promise<ReadonlySet<string> | null> {
  try {
    const signal = AbortSignal.timeout(answerMsMax);
    const response = await fetch(`${url}/held-claims`, { signal });
    if (response.status !== 200) return null;
    return new Set((await response.json()) as string[]);
  } catch {
    // Frozen, ended, or being ended.
    return null;
  }
}
