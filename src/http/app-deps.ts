import type { Hono } from "hono";
import type { Authenticator } from "../auth/jwt.ts";
import type { SigningKeys } from "../auth/signing-keys.ts";
import type { Config } from "../config.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import type { SigningKey } from "../crypto/signing-key.ts";
import type { RoundReport } from "../delivery/reconcile-report.ts";
import type { Accept } from "../emails/accept.ts";
import type { Change } from "../emails/change.ts";
import type { LiveEvents } from "../journal/live-events.ts";
import type { Logger } from "../log.ts";
import type { PauseWatch } from "../queue/pause-watch.ts";
import type { ByteSemaphore } from "../runtime/byte-semaphore.ts";
import type { ApiKeys } from "../store/api-keys.ts";
import type { Audit } from "../store/audit.ts";
import type { BulkCancel } from "../store/bulk-cancel.ts";
import type { BulkChange } from "../store/bulk-change.ts";
import type { FolderCopy } from "../store/copy-folder.ts";
import type { DeadLetters } from "../store/dead-letters.ts";
import type { DroppedSigningKeys } from "../store/dropped-signing-keys.ts";
import type { Emails } from "../store/emails.ts";
import type { Endings } from "../store/endings.ts";
import type { EraseRecipient } from "../store/erasure.ts";
import type { Events } from "../store/events.ts";
import type { Owners } from "../store/owners.ts";
import type { ReadReplica } from "../store/read-replica.ts";
import type { Quota } from "../store/stored-email.ts";
import type { Webhooks } from "../store/webhooks.ts";
import type { Endpoints } from "../webhooks/endpoints.ts";
import type { ApiContext, ApiEnv } from "./api-env.ts";
import type { UnreadableNote } from "./emails/unreadable-note.ts";
import type { RateLimits } from "./middleware/rate-limits.ts";
import type { DescribedRoute } from "./openapi/document.ts";

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
  config: Pick<Config, "role" | "region" | "messageBytesMax" | "sender"> & { quota?: Quota };
  /** Address under which callers reach us, without a trailing slash; null: unknown. */
  publicUrl?: string | null;
  /** Of the program, such as `0.1.0`. */
  version: string;
  log: Logger;
  authenticator: Pick<Authenticator, "authenticate">;
  rateLimits: RateLimits;
  apiKeys: ApiKeys;
  /** Of JWKS_URL; absent: there is none. */
  signingKeys?: SigningKeys | undefined;
  droppedSigningKeys: DroppedSigningKeys;
  endings: Endings;
  emails: Emails;
  /** Destroys one person's data. */
  eraseRecipient: EraseRecipient;
  deadLetters: DeadLetters;
  bulkCancel: BulkCancel;
  bulkChange: BulkChange;
  owners: Owners;
  audit: Audit;
  events: Events;
  liveEvents: LiveEvents;
  webhooks: Webhooks;
  endpoints: Endpoints;
  /** Why a webhook may not go there, in words for a field's fault; null: it may. */
  judgeUrl: (url: string) => Promise<string | null>;
  /** Answers what may come from a read replica; absent or null: there is none. */
  readReplica?: Pick<ReadReplica, "serve"> | null;
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
  /** Copies the embedded database into a folder of DATA_DIR, whose name it answers; absent: another. */
  copyDatabase?: (() => Promise<FolderCopy & { folder: string }>) | undefined;
  /** One round of the reconciler. */
  reconcile: () => Promise<RoundReport>;
  /** Whether nothing gets out of the processes that send; default: not known, so no. */
  isTransportDown?: () => Promise<boolean>;
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
  mounts: ((app: Hono<ApiEnv>, routes: readonly DescribedRoute[]) => void)[];
}
