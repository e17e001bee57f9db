import type { EmailDraft } from "../../email/email.ts";
import { quoteInput } from "../../email/quote-input.ts";
import type { AcceptAnswer, AcceptRequest, BatchRules } from "../../emails/accept.ts";
import { type AppError, isAppError } from "../../errors.ts";
import { type ApiContext, heldBytesOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import {
  acceptOrReplay,
  type Idempotency,
  idempotencyOf,
  type Reading,
} from "../request/idempotency.ts";
import { readJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";
import { resendDraft } from "./email-fields.ts";
import { faultWords, resendRefusal } from "./failure.ts";

/** Resend's own limit. */
export const batchMax = 100;

/** POST /emails: one email. A time is echoed as the instant that it came to. */
export function createResendSend(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const body = await readJson(c, deps);
    const idempotency = keyOf(c, "/emails", body);
    const reading = readOne(deps, body);
    const accepted = await acceptOrReplay(c, deps, { idempotency, reading }, (draft) =>
      accept(c, deps, { drafts: [draft], idempotency }),
    );
    return c.json(acceptedJson(accepted)[0] ?? {});
  };
}

interface Batch {
  /** Valid emails, each with its place in the list of the body. */
  fit: { index: number; draft: EmailDraft }[];
  errors: { index: number; message: string }[];
}

/** POST /emails/batch: all or nothing, or, with `x-batch-validation: permissive`, what is fit. */
export function createResendBatch(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const isPermissive = readValidation(c.req.header("x-batch-validation"));
    const body = await readJson(c, deps);
    const emails = readList(body);
    // The header is part of what was asked for.
    const idempotency = keyOf(c, "/emails/batch", isPermissive ? { permissive: body } : body);
    const reading = readBatch(deps, emails, isPermissive);
    const accepted = await acceptOrReplay(c, deps, { idempotency, reading }, (batch) =>
      accept(c, deps, {
        drafts: batch.fit.map(({ draft }) => draft),
        idempotency,
        batch: rulesOf(batch, isPermissive),
      }),
    );
    return c.json({
      data: acceptedJson(accepted),
      ...(isPermissive ? { errors: accepted.note ?? [] } : {}),
    });
  };
}

/** Some refusals are known only when the message is composed. */
function rulesOf({ fit, errors }: Batch, isPermissive: boolean): BatchRules {
  const indexOf = (place: number) => fit[place]?.index ?? place;
  const pointerOf = (place: number) => `/${indexOf(place)}`;
  if (!isPermissive) return { pointerOf };
  return {
    pointerOf,
    noteOf: (refused) => {
      const late = refused.map(({ place, error }) => {
        return { index: indexOf(place), message: wordsOf(error) };
      });
      return [...errors, ...late].toSorted((one, other) => one.index - other.index);
    },
  };
}

function keyOf(c: ApiContext, path: string, body: unknown): Idempotency | null {
  const key = c.req.header("idempotency-key");
  if (key !== undefined && !/^[\x21-\x7e]{1,255}$/.test(key)) {
    const message = "Idempotency keys must have between 1 and 255 visible ASCII characters.";
    throw resendRefusal("invalid_idempotency_key", message);
  }
  return idempotencyOf(c, path, body);
}

function readValidation(header: string | undefined): boolean {
  if (header === undefined || header === "strict") return false;
  if (header === "permissive") return true;
  const detail = `expected "strict" or "permissive", got ${quoteInput(header)}`;
  throw invalidContent([{ pointer: "/x-batch-validation", detail }]);
}

function readList(body: unknown): unknown[] {
  if (Array.isArray(body) && body.length > 0 && body.length <= batchMax) return body;
  const detail = `expected a list of 1 to ${batchMax} emails, got ${quoteInput(body)}`;
  throw invalidContent([{ pointer: "", detail }]);
}

function readOne(deps: AppDeps, email: unknown): Reading<EmailDraft> {
  try {
    return { value: resendDraft(email, contextOf(deps)), isAtFault: false };
  } catch (error) {
    return { error };
  }
}

function readBatch(deps: AppDeps, emails: unknown[], isPermissive: boolean): Reading<Batch> {
  const shared = contextOf(deps);
  const batch: Batch = { fit: [], errors: [] };
  for (const [index, email] of emails.entries()) {
    try {
      const context = { ...shared, pointer: `/${index}` };
      batch.fit.push({ index, draft: resendDraft(email, context) });
    } catch (error) {
      if (!isAppError(error) || !isPermissive) return { error };
      batch.errors.push({ index, message: wordsOf(error) });
    }
  }
  return { value: batch, isAtFault: batch.errors.length > 0 };
}

function wordsOf({ publicDetail, faults }: AppError): string {
  return faults.length === 0 ? publicDetail : faults.map(faultWords).join("\n");
}

function contextOf({ config, knownRegions, now }: AppDeps) {
  return { config, now: now(), regions: knownRegions?.() ?? [], pointer: "" };
}

async function accept(
  c: ApiContext,
  deps: AppDeps,
  request: Pick<AcceptRequest, "drafts" | "idempotency" | "batch">,
): Promise<AcceptAnswer> {
  return await deps.accept.accept({
    ownerId: principalOf(c).ownerId,
    origin: deps.peerAddress?.(c) ?? null,
    heldBytes: heldBytesOf(c),
    ...request,
  });
}

function acceptedJson({ emails }: AcceptAnswer) {
  return emails.map(({ id, scheduledAt, createdAt }) => {
    const isScheduled = scheduledAt.getTime() - createdAt.getTime() > 1_000;
    return { id, ...(isScheduled ? { scheduled_at: scheduledAt } : {}) };
  });
}
