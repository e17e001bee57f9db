import { callBudgetLeftMs } from "./call-budget.ts";
import type { FolderCopy } from "./copy-folder.ts";

/**
 * The port to the database. Everything the program asks of it goes through one SQL function,
 * `mailer_api.call_as(claims text, fn text, args text) returns text`, in one transaction:
 * JSON in text goes in, JSON in text comes out, one value and never a set. So the same calls
 * work over PGlite, `pg` and PostgREST.
 */

/** On whose behalf a function runs; the database checks that this role may call it. */
export interface Claims {
  /**
   * `user` sees its own rows (row-level security), `admin` reads and acts for everybody; the
   * others are parts of the program, each of which may call what its own work takes.
   */
  role: "user" | "admin" | Part;
  /** The owner for `user`; for the others who acts, as the journal shall name them. */
  sub: string;
}

/** What a call needs beyond its arguments: room and time for large texts, patience with locks. */
export interface CallOptions {
  /**
   * How long it may wait for another transaction's lock before it fails, in ms. Default 3000, as
   * `call_as` says; less where others travel in the same call and would wait as well.
   */
  lockTimeoutMs?: number;
  /**
   * They follow the JSON, each on a line of its own: large texts without line breaks, which the
   * database need not parse.
   */
  lines?: readonly string[];
  /** About how many bytes the answer will have. */
  answerBytes?: number;
  /** Large texts follow the answer's JSON: it is an `AnswerWithTexts`. */
  hasTexts?: boolean;
}

/** A JSON answer and the texts behind it, in their order; none of them was parsed. */
export interface AnswerWithTexts {
  json: unknown;
  texts: string[];
}

export interface Database {
  readonly driver: "pglite" | "postgres" | "supabase";
  /** Tells the folder that it lies in from a copy of it; absent: it lies on a server. */
  readonly place?: string;
  /**
   * Copies it, as of one moment and while it is used, into a folder that does not exist yet. Absent:
   * it lies on a server, whose own tools do that.
   */
  readonly copyTo?: (folder: string) => Promise<FolderCopy>;
  /**
   * Calls `mailer.<fn>` with JSON arguments and returns its JSON answer.
   * Throws `AppError` `database_unavailable` when no answer came within the deadline (the
   * call may have committed: every function is idempotent on its natural key), and
   * the code a function raised (see `store/call-error.ts`) otherwise.
   */
  rpc(fn: string, args: unknown, as: Claims, options?: CallOptions): Promise<unknown>;
  /** Resolves when the database answers, rejects with `database_unavailable` otherwise. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** The arguments of a call as one text: JSON never holds a line break of its own. */
export function callText(args: unknown, { lines = [] }: CallOptions = {}): string {
  const json = JSON.stringify(args);
  return lines.length === 0 ? json : [json, ...lines].join("\n");
}

/** The claims as `call_as` reads them; how long to wait for locks travels with them. */
export function claimsText(as: Claims, { lockTimeoutMs }: CallOptions = {}): string {
  return JSON.stringify(
    lockTimeoutMs === undefined ? as : { ...as, lock_timeout_ms: Math.ceil(lockTimeoutMs) },
  );
}

/** What a function returned, as `rpc` answers it; JSON never holds a form feed of its own. */
export function parseAnswer(answer: string, { hasTexts = false }: CallOptions = {}): unknown {
  if (!hasTexts) return JSON.parse(answer);
  const [json = "", ...texts] = answer.split("\f");
  return { json: JSON.parse(json), texts } satisfies AnswerWithTexts;
}

/**
 * How long a call may take, in ms: what its request may still wait, at most `deadlineMs`. One that
 * carries megabytes may take longer than one that must answer a person soon.
 */
export function deadlineFor(text: string, options: CallOptions | undefined, deadlineMs: number) {
  const megabytes = (text.length + (options?.answerBytes ?? 0)) / 1_000_000;
  return Math.min(deadlineMs, callBudgetLeftMs()) + Math.floor(megabytes) * 1_000;
}

/** A part of the program, as the database knows it; what each may call stands in `mailer.functions`. */
export type Part =
  | "accept"
  | "worker"
  | "reconciler"
  | "sealer"
  | "follower"
  | "webhooks"
  | "authenticator"
  | "reader"
  | "console"
  | "metrics"
  | "keys"
  | "maintenance"
  | "ping";

/** Names of parts begin so, and no token of a user is taken that names its owner so. */
export const partPrefix = "taskforce-mailer:";

/**
 * A part of the program at work, named in the journal as `taskforce-mailer:worker:<region>`, say: a
 * user called `worker:fra` is another actor.
 */
export function partClaims(part: Part, region?: string): Claims {
  return { role: part, sub: `${partPrefix}${region === undefined ? part : `${part}:${region}`}` };
}
