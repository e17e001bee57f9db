import type { Principal } from "../../auth/principal.ts";
import type { CurrentEmail } from "../../content/current-email.ts";
import type { EmailDraft } from "../../email/email.ts";
import type { EmailEdit } from "../../email/email-edit.ts";
import type { Accept } from "../../emails/accept.ts";
import type { BulkDeps } from "../../emails/bulk.ts";
import type { Change } from "../../emails/change.ts";
import type { PauseWatch } from "../../queue/pause-watch.ts";
import type { ApiKeys, StoredApiKey } from "../../store/api-keys.ts";
import type { Audit } from "../../store/audit.ts";
import type { Claims } from "../../store/database.ts";
import type { Minutes } from "../../store/minutes.ts";
import type { Pause } from "../../store/pauses.ts";
import type { ProbeRequests } from "../../store/probe-requests.ts";
import type { Processes } from "../../store/processes.ts";
import type { Timelines } from "../../store/timeline.ts";
import type { StoredWebhook, Webhooks } from "../../store/webhooks.ts";
import type { Endpoints } from "../../webhooks/endpoints.ts";
import type { Visitors } from "../session/visitor.ts";
import type { Door } from "./door.tsx";
import type { OpenEmailDeps } from "./emails/open-email.ts";
import type { Component } from "./operate/health-page.tsx";
import type { ShownSetting } from "./settings/settings-page.tsx";

/** Somebody who changes something, as the rules and the journal know them. */
export interface By {
  principal: Principal;
  claims: Claims;
  origin: string | null;
}

/** What the pages read by and act through: the same functions as the API's. */
export interface PagesDeps extends OpenEmailDeps {
  door: Door;
  visitors: Visitors;
  /** How this program is called from a shell. */
  program: string;
  timelines: Timelines;
  change: Change;
  bulk: BulkDeps;
  audit: Audit;
  /** How every part stands, as `/health` tells it. */
  health: () => Promise<{ status: string; components: Record<string, Component> }>;
  /** What all processes did, for the charts. */
  minutes: Pick<Minutes, "read">;
  processes: Processes;
  probeRequests: Pick<ProbeRequests, "ask">;
  /** By how many ms this process's clock is ahead of another's; null: not known. */
  skewMs: () => Record<string, number | null>;
  pauses: Pick<PauseWatch, "pause" | "resume" | "resumeRestored">;
  /** The pauses that this visitor is told of. */
  pausesShownTo: (visitor: Principal) => Pause[];
  isPauseReason: (text: string) => boolean;
  /** Regions that are known, this process's own first. */
  regions: () => readonly string[];
  apiKeys: Pick<ApiKeys, "list" | "get" | "revoke">;
  /** A body of POST /api-keys, judged; throws when it does not fit. The key is shown once. */
  makeApiKey: (body: unknown, by: By) => Promise<{ stored: StoredApiKey; key: string }>;
  webhooks: Pick<Webhooks, "list" | "get" | "remove" | "deliveries">;
  endpoints: Pick<Endpoints, "change" | "rotateSecret" | "test" | "replayDelivery" | "openAnswer">;
  /** A body of POST /webhooks, judged; throws when it does not fit. The secret is shown once. */
  makeWebhook: (body: unknown, by: By) => Promise<{ webhook: StoredWebhook; secret: string }>;
  /** A body of PATCH /webhooks/{id}, judged and done; throws when it does not fit. */
  changeWebhook: (webhook: StoredWebhook, body: unknown, by: By) => Promise<StoredWebhook>;
  /** Every variable, without its secret. */
  settings: () => readonly ShownSetting[];
  accept: Accept;
  /** A body of POST /schedule-mail, judged; throws when it does not fit. */
  toDraft: (body: unknown) => EmailDraft;
  /** What may not be meant, one sentence each. */
  draftWarnings: (draft: EmailDraft, sizeBytes: number) => string[];
  /** Sender of emails that name none; null: they are refused. */
  senderName: string | null;
  /** A body of PATCH, judged by what is there; throws when it does not fit. */
  toEdit: (body: unknown, current: CurrentEmail, how: { isReplay: boolean }) => EmailEdit;
  countDeadLetters: (as: Claims) => Promise<number>;
}
