import type { EmailState, OnUncertain, RecipientKind } from "../email/email.ts";
import type { Lateness } from "../email/email-edit.ts";
import type { ResolvedWallClock } from "../email/wall-clock.ts";
import type { Claims, Database } from "./database.ts";
import { toWallClock } from "./email-json.ts";
import type { CancelAnswer, ReplayAnswer } from "./stored-email.ts";

/** What an edit writes, already composed and encrypted; a part that is absent stays. */
export interface StoredChange {
  /** null: now, by the database's clock. */
  scheduledAt?: Date | null;
  /** The local time that it was made of. */
  wallClock?: ResolvedWallClock;
  lateness?: Lateness;
  onUncertain?: OnUncertain;
  maxRetries?: number;
  maxAgeSeconds?: number;
  tags?: string[];
  metadata?: Record<string, unknown>;
  content?: StoredContent;
  /** All but those who have got it, who stay in any case. */
  recipients?: StoredAddressee[];
}

/** Ciphertexts but for the size, which is that of the message in clear. */
export interface StoredContent {
  sender: string;
  subject: string;
  messageBytes: number;
  message: Uint8Array;
  details: string;
}

export interface StoredAddressee {
  position: number;
  kind: RecipientKind;
  address: string;
  addressIndex: string;
  /** False: what is known of the recipient at this position is kept. */
  isNew: boolean;
}

/** Which email a person changes, and from where. */
export interface ChangeTarget {
  id: string;
  as: Claims;
  /** The caller's network address; null when unknown. */
  origin: string | null;
}

/** A change of an email as it was read. */
export interface ChangeRequest extends ChangeTarget {
  version: number;
  attempts: number;
  /** Another one means that the encryption key was replaced meanwhile. */
  wrappedKey: string | null;
  /** Names for the journal, never what is in them. */
  fields: string[];
  change: StoredChange;
}

/** `delayMs`: until it is due; null while it is held. */
export type ChangeAnswer =
  | { kind: "changed"; delayMs: number | null }
  | { kind: "conflict" }
  | { kind: ChangeRefusal };

export type ChangeRefusal = Exclude<CancelAnswer, "cancelled"> | "already_cancelled";

export type ReleaseAnswer =
  | { kind: "released"; delayMs: number | null }
  | { kind: "not_found" }
  | { kind: "not_held"; state: EmailState };

/** What people do to an email that exists; each is one transaction, under the caller's claims. */
export interface Changes {
  edit(request: ChangeRequest): Promise<ChangeAnswer>;
  /** Whether the email can be edited at all: `conflict` says that it can. */
  probe(target: ChangeTarget): Promise<ChangeAnswer>;
  /** Edits a dead letter and sends it again, together or not at all. */
  replay(request: ChangeRequest): Promise<ReplayAnswer | { kind: "conflict" }>;
  hold(target: ChangeTarget): Promise<"held" | ChangeRefusal>;
  /** Without `scheduledAt`: when it was due anyway, or now when that has passed. */
  release(target: ChangeTarget & { scheduledAt?: Date | null }): Promise<ReleaseAnswer>;
}

/** `quotaPending`: what an owner may have waiting; a replay adds to it. Default: no limit. */
export function createChanges(
  database: Database,
  { quotaPending = null }: { quotaPending?: number | null } = {},
): Changes {
  async function call<Answer>(fn: string, target: ChangeTarget, args: object, lines: string[]) {
    const all = { ...targetArgs(target), ...args };
    const answer = await database.rpc(fn, all, target.as, { lines });
    return camel(answer as { kind: string; delay_ms?: number | null }) as Answer;
  }
  function write<Answer>(fn: string, request: ChangeRequest) {
    const { version, attempts, wrappedKey, fields, change } = request;
    const lines: string[] = [];
    const asRead = { version, attempts, wrapped_key: wrappedKey };
    const args = { ...asRead, fields, change: toJson(change, lines) };
    // A replay has its time beside the edit.
    const time = change.scheduledAt === undefined ? {} : { scheduled_at: change.scheduledAt };
    const quota = fn === "replay_email" ? { quota_pending: quotaPending } : {};
    return call<Answer>(fn, request, { ...args, ...time, ...quota }, lines);
  }
  return {
    edit: (request) => write("change_email", request),
    probe: (target) => call("change_email", target, { is_probe: true, change: {} }, []),
    replay: (request) => write("replay_email", request),
    async hold(target) {
      const { kind } = await call<{ kind: "held" | ChangeRefusal }>("hold_email", target, {}, []);
      return kind;
    },
    release: ({ scheduledAt, ...target }) =>
      call(
        "release_email",
        target,
        scheduledAt === undefined ? {} : { scheduled_at: scheduledAt },
        [],
      ),
  };
}

function targetArgs({ id, origin }: ChangeTarget) {
  return { id, origin };
}

function camel({ delay_ms: delayMs, ...answer }: { kind: string; delay_ms?: number | null }) {
  return delayMs === undefined ? answer : { ...answer, delayMs };
}

/** Absent parts are left out by JSON. The large texts are appended to `lines`. */
function toJson(change: StoredChange, lines: string[]): object {
  const { lateness, content, recipients } = change;
  return {
    scheduled_at: change.scheduledAt,
    wall_clock: toWallClock(change.wallClock),
    on_uncertain: change.onUncertain,
    max_retries: change.maxRetries,
    max_age_seconds: change.maxAgeSeconds,
    tags: change.tags,
    metadata: change.metadata,
    lateness: lateness && {
      expires_at: lateness.expiresAt,
      max_lateness_seconds: lateness.maxLatenessSeconds,
      on_late: lateness.onLate,
    },
    content: content && {
      sender: content.sender,
      subject: content.subject,
      message_bytes: content.messageBytes,
      message_line: lines.push(Buffer.from(content.message).toString("base64")),
      details_line: lines.push(content.details),
    },
    recipients: recipients?.map(({ position, kind, address, addressIndex, isNew }) => ({
      position,
      kind,
      address,
      address_index: addressIndex,
      is_new: isNew,
    })),
  };
}
