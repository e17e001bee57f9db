import type { EmailDraft } from "../email/email.ts";
import { withDate } from "../mail/message-date.ts";
import { answer } from "./answer.ts";
import { type ApiContext, heldBytesOf, principalOf } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";
import { draftWarnings } from "./draft-warnings.ts";
import { idempotencyOf, readAtItsTime } from "./idempotency.ts";
import { invalidQuery } from "./query.ts";
import { readJson } from "./read-json.ts";
import { type DraftContext, toDraft } from "./to-draft.ts";

/** POST /api/v1/schedule-mail: accepts one email, or with `dry_run` shows what it would be. */
export function createScheduleMail(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const isDryRun = readDryRun(c);
    const body = await readJson(c, deps);
    if (isDryRun) return dryRun(c, deps, toDraft(body, contextOf(deps, deps.now())));

    const idempotency = idempotencyOf(c, "/api/v1/schedule-mail", body);
    const draft = await readAtItsTime(c, deps, idempotency, (now) => readDraft(deps, body, now));
    const accepted = await deps.accept.accept({
      ownerId: principalOf(c).ownerId,
      origin: deps.peerAddress?.(c) ?? null,
      heldBytes: heldBytesOf(c),
      drafts: [draft],
      idempotency,
    });
    const [email] = accepted.emails;
    if (!email) throw new Error("accept answered without the email");
    c.set("emailId", email.id);
    if (accepted.isReplay) c.header("Idempotent-Replayed", "true");
    const { id, scheduledAt, createdAt } = email;
    return answer(
      c,
      { id, status: "pending", scheduled_at: scheduledAt, created_at: createdAt, version: 1 },
      { status: 201 },
    );
  };
}

function contextOf({ config, knownRegions }: AppDeps, now: Date): DraftContext {
  return { config, now, regions: knownRegions?.() ?? [] };
}

function readDraft(deps: AppDeps, body: unknown, now: Date) {
  try {
    return { value: toDraft(body, contextOf(deps, now)), isAtFault: false };
  } catch (error) {
    return { error };
  }
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
    warnings: draftWarnings(draft, message.length, deps.now()),
  });
}
