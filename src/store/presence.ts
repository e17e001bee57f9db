import type { OnUncertain } from "../email/email.ts";
import { isAppError } from "../errors.ts";
import { type BeatLooks, createBeatLooks } from "./beat-looks.ts";
import { type Claims, type Database, partClaims } from "./database.ts";
import type { SchemaOrigin } from "./schema-origin.ts";

/** A fenced email whose worker is gone and whose reply will never be known. */
export interface Orphan {
  id: string;
  token: number;
  attempt: number;
  attemptsBefore: number;
  /** null: the caller did not say. */
  maxRetries: number | null;
  maxAgeSeconds: number;
  /** Since the moment that `maxAgeSeconds` counts from. */
  ageMs: number;
  onUncertain: OnUncertain;
  region: string;
}

export interface TakeOver {
  /** Un-fenced emails that are pending again; 1,000 means that there may be more. */
  released: number;
  /** Ids of emails that are held, because nothing but them can have killed their workers. */
  poison: string[];
  /** Processes found dead since the last look. */
  crashedWorkers: number;
  orphans: Orphan[];
}

/** How a region stands, by the database's clock. */
export interface RegionStatus {
  /** How long the region's email that is due longest has waited; 0 when none is due. */
  oldestDueMs: number;
  /** Emails of the region that are due and not claimed. */
  dueUnclaimed: number;
  /** Living processes that send, in all regions. */
  workersAlive: number;
  /** Names of all regions that were ever heard of, living or not. */
  regions: string[];
  /** Regions in which nothing can send for a minute, and whose due emails others claim. */
  deadRegions: string[];
  /** Since when an entry of the journal is known to be broken; null: none is. */
  journalBrokenSince: Date | null;
}

/** What a process says of itself with a beat. */
export interface BeatState {
  /** Ids of the emails that it decrypts or sends; default none. */
  begun?: readonly string[];
  /** Outcomes that it knows and could not write yet; default 0. */
  settling?: number;
}

export interface Beat {
  /** The database's clock. */
  now: Date;
  /** Of the database's log, which a failover changes; null: it cannot be told. */
  timeline: string | null;
  /** The others thought this process dead meanwhile. */
  wasReaped: boolean;
  /** A process has died whose emails nobody has looked after yet. */
  hasDead: boolean;
}

/** What the database knows an encryption key by; a key ring is one. */
export interface KeyIdentity {
  currentKeyId: string;
  fingerprint: string;
  /** Of the keys that this process can also read with. */
  oldFingerprints: readonly string[];
}

/** Whether the database takes the key; a new one that reads the former is its own from now on. */
export async function checkKey(
  database: Database,
  { currentKeyId, fingerprint, oldFingerprints }: KeyIdentity,
  { claims, workerId }: { claims: Claims; workerId: string | null },
): Promise<boolean> {
  const args = { fingerprint, old: oldFingerprints, key_id: currentKeyId, worker_id: workerId };
  return ((await database.rpc("check_key", args, claims)) as { matches: boolean }).matches;
}

/** The living processes, and the claims of dead ones. */
export interface Presence {
  /** Says that this process lives. */
  beat(state?: BeatState): Promise<Beat>;
  /** Leaves in order; what it may still hold is taken over at once. */
  stop(): Promise<void>;
  /** `everything`: all that is sending is an orphan (embedded database at boot). */
  takeOver(options: { everything: boolean }): Promise<TakeOver>;
  /** How this region stands; emails are counted up to `countMax`. */
  regionStatus(countMax: number): Promise<RegionStatus>;
  /**
   * Journals what has gone wrong in the installation, or is well again, and was not yet told by
   * another process. `mayJudgeRegions` false: silent regions may only seem so.
   */
  noteIncidents(mayJudgeRegions: boolean): Promise<void>;
  countWorkers(): Promise<number>;
  /** False when this database belongs to another encryption key, and to none of the old ones. */
  checkKey(key: KeyIdentity): Promise<boolean>;
  /** Which schema the database has; null: one from before it could say. */
  schemaOrigin(): Promise<SchemaOrigin | null>;
  /** Drops Idempotency-Keys older than 24 h; resolves to how many. */
  forgetIdempotent(): Promise<number>;
}

export interface PresenceOptions {
  workerId: string;
  region: string;
  role: "all" | "api" | "worker";
  replyTimeoutMs: number;
  /** A worker whose beat is silent for this long is not counted as living. */
  deadAfterMs: number;
  /** Tells who is dead; default: whoever gave no new beat in five looks in a row. */
  looks?: BeatLooks;
  /** A region in which nothing can send for this long is silent: others claim its due emails. */
  silentAfterMs?: number;
  /** Under which timeline all that this process sent is written, and who is told of the current. */
  vouching?: { readonly timeline: string | null; heard(timeline: string | null): void };
}

const silentAfterMsDefault = 60_000;

/** What `forget_idempotent` looks at in one call at most, half of each of its two kinds. */
const forgetBatch = 5_000;
/** In one go; with one every minute that is more keys than this product accepts in a day. */
const forgetMax = 200_000;

export function createPresence(database: Database, options: PresenceOptions): Presence {
  const { workerId, region, deadAfterMs } = options;
  const silence = {
    dead_after_ms: deadAfterMs,
    silent_ms: options.silentAfterMs ?? silentAfterMsDefault,
  };
  const me = { worker_id: workerId, region };
  const looks = options.looks ?? createBeatLooks({ region });
  const claims = partClaims("reconciler", region);
  const call = (fn: string, args: unknown) => database.rpc(fn, args, claims);

  return {
    async beat({ begun = [], settling = 0 } = {}) {
      const { vouching } = options;
      const beat = await beatAndLook(call, looks, {
        ...me,
        role: options.role,
        reply_timeout_ms: options.replyTimeoutMs,
        begun,
        settling,
        ...(vouching?.timeline && { timeline: vouching.timeline }),
      });
      vouching?.heard(beat.timeline);
      return beat;
    },
    async stop() {
      await call("stop_worker", { worker_id: workerId });
    },
    async takeOver({ everything }) {
      const args = { ...me, silent_ms: silence.silent_ms, everything, dead: looks.dead() };
      const answer = (await call("take_over", args)) as TakeOverJson;
      return {
        released: answer.released,
        poison: answer.held,
        crashedWorkers: answer.crashed_workers,
        orphans: answer.orphans.map(toOrphan),
      };
    },
    async regionStatus(countMax) {
      const args = { region, ...silence, count_max: countMax };
      const answer = (await call("region_status", args)) as RegionStatusJson;
      return {
        oldestDueMs: answer.oldest_due_ms,
        dueUnclaimed: answer.due_unclaimed,
        workersAlive: answer.workers_alive,
        regions: answer.regions,
        deadRegions: answer.dead_regions,
        journalBrokenSince: toDate(answer.journal_broken_since),
      };
    },
    async noteIncidents(mayJudgeRegions) {
      const args = { silent_ms: silence.silent_ms, may_judge_regions: mayJudgeRegions };
      await call("note_incidents", args);
    },
    async countWorkers() {
      return (await call("count_workers", {})) as number;
    },
    checkKey: (key) => checkKey(database, key, { claims, workerId }),
    schemaOrigin: () => schemaOrigin(call),
    async forgetIdempotent() {
      let looked = 0;
      for (let count = forgetBatch; count >= forgetBatch / 2 && looked < forgetMax; ) {
        count = (await call("forget_idempotent", {})) as number;
        looked += count;
      }
      return looked;
    },
  };
}

/** Each beat is a look at all others, too. */
async function beatAndLook(call: Call, looks: BeatLooks, args: object): Promise<Beat> {
  const answer = (await call("beat", args).catch((error: unknown) => {
    looks.miss();
    throw error;
  })) as BeatJson;
  looks.see(answer.others.map(({ is_stopped: isStopped, ...other }) => ({ ...other, isStopped })));
  const dead = new Map(looks.dead().map(({ id, beats }) => [id, beats]));
  return {
    now: new Date(answer.now),
    timeline: answer.timeline,
    wasReaped: answer.was_reaped,
    hasDead: answer.others.some(({ id, beats }) => dead.get(id) === beats),
  };
}

async function schemaOrigin(call: Call): Promise<SchemaOrigin | null> {
  try {
    const answer = (await call("schema_version", {})) as { version: string; digest?: string };
    return { version: answer.version, digest: answer.digest ?? null };
  } catch (error) {
    // What `call_as` says of a function that it does not know.
    if (isAppError(error, "forbidden")) return null;
    throw error;
  }
}

type Call = (fn: string, args: unknown) => Promise<unknown>;

interface RegionStatusJson {
  oldest_due_ms: number;
  due_unclaimed: number;
  workers_alive: number;
  regions: string[];
  dead_regions: string[];
  journal_broken_since: string | null;
}

function toDate(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}

interface BeatJson {
  now: string;
  timeline: string | null;
  was_reaped: boolean;
  others: { id: string; region: string; beats: number; is_stopped: boolean }[];
}

interface TakeOverJson {
  released: number;
  held: string[];
  crashed_workers: number;
  orphans: OrphanJson[];
}

export interface OrphanJson {
  id: string;
  token: number;
  attempt: number;
  attempts_before: number;
  max_retries: number | null;
  max_age_seconds: number;
  age_ms: number;
  on_uncertain: OnUncertain;
  region: string;
}

export function toOrphan(json: OrphanJson): Orphan {
  return {
    id: json.id,
    token: json.token,
    attempt: json.attempt,
    attemptsBefore: json.attempts_before,
    maxRetries: json.max_retries,
    maxAgeSeconds: json.max_age_seconds,
    ageMs: json.age_ms,
    onUncertain: json.on_uncertain,
    region: json.region,
  };
}
