import { maxRetriesDefault } from "../email/retry-schedule.ts";
import type { Resolution, ResolvedWallClock, WallClock } from "../email/wall-clock.ts";
import type { EmailPage, StoredEmail, WholeEmail } from "./stored-email.ts";

/** The one place where stored emails turn from the database's snake_case into our nouns. */

interface EmailJson {
  id: string;
  owner_id: string;
  status: StoredEmail["status"];
  version: number;
  region: string;
  created_at: string;
  scheduled_at: string;
  next_attempt_at: string | null;
  sent_at: string | null;
  expires_at: string | null;
  max_lateness_seconds: number | null;
  on_late: StoredEmail["onLate"];
  on_uncertain: StoredEmail["onUncertain"];
  /** null: the caller did not say. */
  max_retries: number | null;
  max_age_seconds: number;
  attempts_spent: number;
  due_since: string | null;
  dismissed_at: string | null;
  wall_clock: WallClockJson | null;
  tags: string[];
  metadata: Record<string, unknown>;
  wrapped_key: string | null;
  subject: string | null;
  message_bytes: number;
  recipients: {
    position: number;
    kind: StoredEmail["recipients"][number]["kind"];
    address: string | null;
    status: StoredEmail["recipients"][number]["status"];
    smtp_code: number | null;
    enhanced_code: string | null;
    reply: string | null;
  }[];
  attempts:
    | {
        number: number;
        started_at: string;
        ended_at: string;
        outcome: StoredEmail["attempts"][number]["outcome"];
        smtp_code: number | null;
        enhanced_code: string | null;
        reply: string | null;
        transport: string;
        region: string;
        message_date: string | null;
      }[]
    | null;
  details?: string | null;
  message?: string | null;
}

/** A local time as it is stored. */
export interface WallClockJson {
  local_time: string;
  timezone: string;
  gap: WallClock["gap"];
  overlap: WallClock["overlap"];
  scheduled_at: string;
  utc_offset: string;
  resolution: Resolution;
  zone_data: string;
}

/** Kept with the instant it came to: once the email is due at another one it says nothing. */
export function toWallClock(wallClock: ResolvedWallClock | undefined): WallClockJson | undefined {
  return (
    wallClock && {
      local_time: wallClock.localTime,
      timezone: wallClock.timezone,
      gap: wallClock.gap,
      overlap: wallClock.overlap,
      scheduled_at: wallClock.scheduledAt.toISOString(),
      utc_offset: wallClock.utcOffset,
      resolution: wallClock.resolution,
      zone_data: wallClock.zoneData,
    }
  );
}

export function fromWallClock(json: WallClockJson): Omit<ResolvedWallClock, "scheduledAt"> {
  const { local_time: localTime, utc_offset: utcOffset, zone_data: zoneData, timezone } = json;
  const { gap, overlap, resolution } = json;
  return { localTime, utcOffset, timezone, gap, overlap, resolution, zoneData };
}

const toDate = (text: string | null): Date | null => (text === null ? null : new Date(text));

export function toEmail(json: unknown): StoredEmail {
  const row = json as EmailJson;
  return {
    id: row.id,
    ownerId: row.owner_id,
    status: row.status,
    version: row.version,
    region: row.region,
    createdAt: new Date(row.created_at),
    scheduledAt: new Date(row.scheduled_at),
    nextAttemptAt: toDate(row.next_attempt_at),
    sentAt: toDate(row.sent_at),
    expiresAt: toDate(row.expires_at),
    maxLatenessSeconds: row.max_lateness_seconds,
    onLate: row.on_late,
    onUncertain: row.on_uncertain,
    maxRetries: row.max_retries ?? maxRetriesDefault,
    maxAgeSeconds: row.max_age_seconds,
    attemptsSpent: row.attempts_spent,
    dueSince: toDate(row.due_since),
    dismissedAt: toDate(row.dismissed_at),
    wallClock: row.wall_clock && fromWallClock(row.wall_clock),
    tags: row.tags,
    metadata: row.metadata,
    wrappedKey: row.wrapped_key,
    subject: row.subject,
    messageBytes: row.message_bytes,
    recipients: row.recipients.map((recipient) => ({
      position: recipient.position,
      kind: recipient.kind,
      address: recipient.address,
      status: recipient.status,
      smtpCode: recipient.smtp_code,
      enhancedCode: recipient.enhanced_code,
      reply: recipient.reply,
    })),
    attempts: (row.attempts ?? []).map((attempt) => ({
      number: attempt.number,
      startedAt: new Date(attempt.started_at),
      endedAt: new Date(attempt.ended_at),
      outcome: attempt.outcome,
      smtpCode: attempt.smtp_code,
      enhancedCode: attempt.enhanced_code,
      reply: attempt.reply,
      transport: attempt.transport,
      region: attempt.region,
      messageDate: toDate(attempt.message_date),
    })),
  };
}

export function toWholeEmail(json: unknown): WholeEmail {
  const row = json as EmailJson;
  return {
    ...toEmail(row),
    details: row.details ?? null,
    message: row.message ? Buffer.from(row.message, "base64") : null,
  };
}

export function toPage(json: unknown): EmailPage {
  const page = json as {
    emails: EmailJson[];
    total: number | null;
    next: { created_at: string; id: string } | null;
  };
  return {
    emails: page.emails.map(toEmail),
    total: page.total,
    next: page.next && { createdAt: page.next.created_at, id: page.next.id },
  };
}
