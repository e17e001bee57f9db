import { z } from "zod";
import type { EmailDraft } from "../../email/email.ts";
import type { BatchRules } from "../../emails/accept.ts";
import { AppError, type FieldFault, isAppError } from "../../errors.ts";
import { answer } from "../answer.ts";
import { type ApiContext, heldBytesOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { emailSchema } from "../request/email-schema.ts";
import { expecting, isPlainObject, readLater } from "../request/field-schemas.ts";
import { acceptOrReplay, idempotencyOf, type Reading } from "../request/idempotency.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson } from "../request/read-json.ts";
import { invalidContent, toDraft } from "../request/to-draft.ts";

const emailsMax = 500;

export const batchSchema = z.strictObject({
  emails: z
    .array(readLater(emailSchema), expecting("a list of emails"))
    .min(1, expecting(`1 to ${emailsMax} emails`))
    .max(emailsMax, expecting(`1 to ${emailsMax} emails`)),
  mode: z.enum(["strict", "permissive"], expecting('"strict" or "permissive"')).nullish(),
});

/** An email of the batch that was not accepted, as its answer names it. */
interface Refusal {
  index: number;
  error: { code: string; detail: string; errors: FieldFault[] };
}

interface Batch {
  /** Valid emails, each with its place in the list of the body. */
  fit: { index: number; draft: EmailDraft }[];
  refused: RefusedEmail[];
}

interface RefusedEmail {
  index: number;
  error: AppError;
}

/** POST /api/v1/schedule-mail/batch: all or nothing, or, permissive, what is fit. */
export function createScheduleBatch(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const body = await readJson(c, deps);
    const { bodies, isPermissive } = readEnvelope(body);
    const idempotency = idempotencyOf(c, "/api/v1/schedule-mail/batch", body);
    const reading = readBatch(deps, bodies, isPermissive, deps.now());
    const accepted = await acceptOrReplay(c, deps, { idempotency, reading }, (batch) =>
      deps.accept.accept({
        ownerId: principalOf(c).ownerId,
        origin: deps.peerAddress?.(c) ?? null,
        heldBytes: heldBytesOf(c),
        drafts: batch.fit.map(({ draft }) => draft),
        idempotency,
        batch: rulesOf(batch, isPermissive),
      }),
    );
    const ids = accepted.emails.map(({ id }) => id);
    return answer(c, inOrder(ids, (accepted.note ?? []) as Refusal[]), { status: 201 });
  };
}

/** Some refusals are known only when the message is composed. */
function rulesOf({ fit, refused }: Batch, isPermissive: boolean): BatchRules {
  const indexOf = (place: number) => fit[place]?.index ?? place;
  const pointerOf = (place: number) => `/emails/${indexOf(place)}`;
  if (!isPermissive) return { pointerOf };
  return {
    pointerOf,
    noteOf: (late) =>
      refusalsOf([
        ...refused,
        ...late.map(({ place, error }) => ({ index: indexOf(place), error })),
      ]),
  };
}

function refusalsOf(refused: RefusedEmail[]): Refusal[] {
  return refused.map(({ index, error }) => ({
    index,
    error: { code: error.code, detail: error.publicDetail, errors: error.faults },
  }));
}

function readEnvelope(body: unknown): { bodies: unknown[]; isPermissive: boolean } {
  const { fields, faults } = readFields(envelopeOnly(body), batchSchema);
  if (faults.length > 0 || !fields.emails) throw invalidContent(faults);
  const bodies = (body as { emails: unknown[] }).emails;
  return { bodies, isPermissive: fields.mode === "permissive" };
}

/** Each email is looked into by itself, so that a permissive batch can do without a faulty one. */
function envelopeOnly(body: unknown): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  const { emails } = body as { emails?: unknown };
  return Array.isArray(emails) ? { ...body, emails: emails.map(() => null) } : body;
}

function readBatch(
  deps: AppDeps,
  bodies: unknown[],
  isPermissive: boolean,
  now: Date,
): Reading<Batch> {
  const batch: Batch = { fit: [], refused: [] };
  const { config } = deps;
  const regions = deps.knownRegions?.() ?? [];
  for (const [index, body] of bodies.entries()) {
    try {
      const pointer = `/emails/${index}`;
      assertOne(body, pointer);
      batch.fit.push({ index, draft: toDraft(body, { config, now, regions, pointer }) });
    } catch (error) {
      if (!isAppError(error)) return { error };
      batch.refused.push({ index, error });
    }
  }
  const [first] = batch.refused;
  if (first && !isPermissive) return { error: together(first.error, batch.refused) };
  return { value: batch, isAtFault: batch.refused.length > 0 };
}

/** Each place of the answer is one email. */
function assertOne(body: unknown, pointer: string): void {
  if (!isPlainObject(body) || body.individual !== true) return;
  const detail = "expected individual outside a batch only, got true: list one email for each";
  throw invalidContent([{ pointer: `${pointer}/individual`, detail }]);
}

/** The code they share; `invalid_content` when they differ. */
function together(first: AppError, refused: RefusedEmail[]): AppError {
  const faults = refused.flatMap(({ error }) => error.faults);
  const areAlike = refused.every(({ error }) => error.code === first.code);
  if (!areAlike || first.code === "invalid_content") return invalidContent(faults);
  return new AppError(first.code, { publicDetail: first.publicDetail, faults });
}

/** Ids fill the places that no refusal takes. */
function inOrder(ids: string[], refusals: Refusal[]): ({ index: number; id: string } | Refusal)[] {
  const byIndex = new Map(refusals.map((refusal) => [refusal.index, refusal]));
  const remaining = ids.values();
  return Array.from({ length: ids.length + refusals.length }, (_, index) => {
    return byIndex.get(index) ?? { index, id: remaining.next().value ?? "" };
  });
}
