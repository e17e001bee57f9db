import type { EmailDraft } from "../../email/email.ts";
import type { ResolvedWallClock } from "../../email/wall-clock.ts";
import type { AcceptAnswer } from "../../emails/accept.ts";
import { withDate } from "../../mail/message-date.ts";
import { answer } from "../answer.ts";
import { type ApiContext, heldBytesOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { draftWarnings } from "../request/draft-warnings.ts";
import { isPlainObject } from "../request/field-schemas.ts";
import { acceptOrReplay, idempotencyOf, type Reading } from "../request/idempotency.ts";
import { localTimeAnswer } from "../request/local-time.ts";
import { invalidQuery } from "../request/query.ts";
import { readJson } from "../request/read-json.ts";
import { type DraftContext, toDraft } from "../request/to-draft.ts";

/** POST /api/v1/schedule-mail: accepts one email, or with `dry_run` shows what it would be. */
export function createScheduleMail(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const isDryRun = readDryRun(c);
    const body = await readJson(c, deps);
    if (isDryRun) {
      const draft = toDraft(body, contextOf(deps, deps.now()));
      // Of many messages that differ in their To line the first is shown.
      return dryRun(c, deps, (isIndividual(body) ? oneEach(draft)[0] : null) ?? draft);
    }

    const idempotency = idempotencyOf(c, "/api/v1/schedule-mail", body);
    const reading = readDraft(deps, body, deps.now());
    const accepted = await acceptOrReplay(c, deps, { idempotency, reading }, (draft) =>
      deps.accept.accept({
        ownerId: principalOf(c).ownerId,
        origin: deps.peerAddress?.(c) ?? null,
        heldBytes: heldBytesOf(c),
        drafts: isIndividual(body) ? oneEach(draft) : [draft],
        idempotency,
      }),
    );
    if (isIndividual(body)) return individualAnswer(c, accepted);
    const [email] = accepted.emails;
    if (!email) throw new Error("accept answered without the email");
    c.set("emailId", email.id);
    const { id, scheduledAt, createdAt } = email;
    return answer(
      c,
      {
        ...{ id, status: "pending", scheduled_at: scheduledAt, created_at: createdAt, version: 1 },
        ...localTimeAnswer(wallClockOf(reading, () => readDraft(deps, body, createdAt))),
      },
      { status: 201 },
    );
  };
}

/** One email to each recipient instead of one to all. */
function isIndividual(body: unknown): boolean {
  return isPlainObject(body) && body.individual === true;
}

function oneEach(draft: EmailDraft): EmailDraft[] {
  return draft.to.map((recipient) => ({ ...draft, to: [recipient] }));
}

/** As a batch is answered, in the order of the recipients. */
function individualAnswer(c: ApiContext, { emails }: AcceptAnswer): Response {
  return answer(
    c,
    emails.map(({ id }, index) => ({ index, id })),
    { status: 201 },
  );
}

function contextOf({ config, knownRegions }: AppDeps, now: Date): DraftContext {
  return { config, now, regions: knownRegions?.() ?? [] };
}

function readDraft(deps: AppDeps, body: unknown, now: Date): Reading<EmailDraft> {
  try {
    return { value: toDraft(body, contextOf(deps, now)), isAtFault: false };
  } catch (error) {
    return { error };
  }
}

/** A replayed answer whose body is at fault by now is read by the clock of its first request. */
function wallClockOf(
  reading: Reading<EmailDraft>,
  readThen: () => Reading<EmailDraft>,
): ResolvedWallClock | null {
  const read = "value" in reading ? reading : readThen();
  return "value" in read ? (read.value.wallClock ?? null) : null;
}

function readDryRun(c: ApiContext): boolean {
  const text = c.req.query("dry_run") ?? "false";
  if (text === "true" || text === "false") return text === "true";
  throw invalidQuery([
    { pointer: "/dry_run", detail: "expected true or false, got another value" },
  ]);
}

async function dryRun(c: ApiContext, deps: AppDeps, draft: EmailDraft): Promise<Response> {
  const scheduledAt = draft.scheduledAt ?? deps.now();
  const message = withDate(await deps.accept.preview(draft), scheduledAt);
  return answer(c, {
    message: Buffer.from(message).toString("latin1"),
    size_bytes: message.length,
    scheduled_at: scheduledAt,
    ...localTimeAnswer(draft.wallClock ?? null),
    warnings: draftWarnings(draft, message.length, deps.now()),
  });
}
