import type { Hono } from "hono";
import type { Authenticator } from "../auth/jwt.ts";
import type { SigningKeys } from "../auth/signing-keys.ts";
import type { Config } from "../config.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import type { SigningKey } from "../crypto/signing-key.ts";
import type { RoundReport } from "../delivery/reconcile-report.ts";
import type { Accept } from "../emails/accept.ts";
import type { Change } from "../emails/change.ts";
import type { Logger } from "../log.ts";
import type { PauseWatch } from "../queue/pause-watch.ts";
import type { ByteSemaphore } from "../runtime/byte-semaphore.ts";
import type { ApiKeys } from "../store/api-keys.ts";
import type { Audit } from "../store/audit.ts";
import type { BulkCancel } from "../store/bulk-cancel.ts";
import type { DeadLetters } from "../store/dead-letters.ts";
import type { DroppedSigningKeys } from "../store/dropped-signing-keys.ts";
import type { Emails } from "../store/emails.ts";
import type { ApiContext, ApiEnv } from "./api-env.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { UnreadableNote } from "./unreadable-note.ts";

/** What `/health` says; `components` is shown as it is, so it holds no secrets. */
export interface Health {
  status: "ok" | "degraded" | "down";
  /** Whether a POST would be taken now. */
  accepting: boolean;
  components: Record<string, { status: string; [detail: string]: unknown }>;
}

/** What one look at one part came to; for admins, no secrets. */
export interface Examined {
  check: string;
  status: "ok" | "warning" | "failed";
  saw: string;
  advice: string | null;
}

/** One request as it ended. */
export interface SeenRequest {
  method: string;
  /** The route's pattern; null: a page of the console, or nothing is there. */
  route: string | null;
  status: number;
  durationMs: number;
}

/** Everything the HTTP API needs; built in `cli/serve.ts`, or by a test. */
export interface AppDeps {
  config: Pick<Config, "role" | "region" | "messageBytesMax" | "sender">;
  log: Logger;
  authenticator: Authenticator;
  rateLimits: RateLimits;
  apiKeys: ApiKeys;
  /** Of JWKS_URL; absent: there is none. */
  signingKeys?: SigningKeys | undefined;
  droppedSigningKeys: DroppedSigningKeys;
  emails: Emails;
  deadLetters: DeadLetters;
  bulkCancel: BulkCancel;
  audit: Audit;
  /** Signs checkpoints of the journal. */
  checkpointKey: SigningKey;
  accept: Accept;
  change: Change;
  keyRing: KeyRing;
  /** Told of every email that does not open. */
  noteUnreadable: UnreadableNote;
  /** Shared with accepting and sending; bodies are counted while they are read. */
  semaphore: ByteSemaphore;
  health: () => Promise<Health>;
  /** A look at every part, as `taskforce-mailer doctor` shows it; within ten seconds. */
  examine: () => Promise<Examined[]>;
  /** One round of the reconciler. */
  reconcile: () => Promise<RoundReport>;
  /** Stops sending, and lets it go on. */
  pauses: PauseWatch;
  /** Regions an email may be sent to, beside our own, as of a few seconds ago. Default: none. */
  knownRegions?: () => readonly string[];
  countWorkers: () => Promise<number>;
  /** Tells of the program in Prometheus' text format; `token` reads it and nothing else. */
  metrics: { text(): Promise<string>; contentType: string; token: string | null };
  /** Called at the end of every request. */
  observeRequest: (seen: SeenRequest) => void;
  /** UUID of this process; marks what it has put into the queue. */
  workerId: string;
  /** True once the process is stopping: no POST is taken any more. */
  isDraining: () => boolean;
  now: () => Date;
  /** The caller's network address for the journal; default: unknown. */
  peerAddress?: (c: ApiContext) => string | null;
  /** Whether the caller came by TLS, to us or to a proxy we trust; default: no. */
  isHttps?: (c: ApiContext) => boolean;
  /** Routes of other rooms (the console), added after the API's own. */
  mounts: ((app: Hono<ApiEnv>) => void)[];
}
