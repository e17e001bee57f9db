import { z } from "zod";
import { pastFault } from "../email/parse-time.ts";
import { AppError } from "../errors.ts";
import { answer } from "./answer.ts";
import { type ApiContext, claimsOf } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";
import { emailAnswer } from "./email-answer.ts";
import { emailIdOf, noSuchEmail } from "./email-id.ts";
import { emailSchema } from "./email-schema.ts";
import { isPlainObject, timeField } from "./field-schemas.ts";
import { findEmail } from "./find-email.ts";
import { readFields } from "./read-fields.ts";
import { readOptionalJson } from "./read-json.ts";
import { invalidContent } from "./to-draft.ts";

export const replaySchema = z.strictObject({ scheduled_at: timeField });

/** POST /api/v1/dead-letters/{id}/replay: sends it again, to those who have not got it. */
export function createReplayDeadLetter(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const id = emailIdOf(c);
    const scheduledAt = readScheduledAt(await readOptionalJson(c, deps), deps.now());
    const replayed = await deps.emails.replay(id, claimsOf(c), {
      scheduledAt,
      origin: deps.peerAddress?.(c) ?? null,
      horizonMs: deps.config.queueHorizonMs,
      queuedBy: deps.workerId,
    });
    if (replayed.kind === "not_found") throw noSuchEmail();
    if (replayed.kind === "not_a_dead_letter") throw notADeadLetter(replayed.state);
    const { wake, delayMs } = replayed;
    if (delayMs !== null) deps.enqueue.add({ id, wake, delayMs });
    const email = await findEmail(c, deps);
    return answer(c, emailAnswer(email, deps.keyRing, { withAttempts: true }));
  };
}

function readScheduledAt(body: unknown, now: Date): Date | null {
  const { fields, faults } = readFields(withoutEdits(body), replaySchema);
  const past = fields.scheduled_at ? pastFault(fields.scheduled_at, now) : null;
  if (past !== null) faults.push({ pointer: "/scheduled_at", detail: past });
  if (faults.length > 0) throw invalidContent(faults);
  return fields.scheduled_at ?? null;
}

/** Editing while replaying is not built yet; a field that is none of an email's stays a fault. */
function withoutEdits(body: unknown): unknown {
  if (!isPlainObject(body)) return body;
  const names = Object.keys(body).filter((name) => name !== "scheduled_at");
  const edits = names.filter((name) => Object.hasOwn(emailSchema.shape, name));
  if (edits.length === 0) return body;
  throw new AppError("not_supported_yet", {
    publicDetail: "A replay can change scheduled_at; other fields are not supported yet.",
    faults: edits.map((name) => ({
      pointer: `/${name}`,
      detail: "expected this field to be left out, since it is not supported yet, got it",
    })),
  });
}

function notADeadLetter(state: string): AppError {
  return new AppError("not_a_dead_letter", {
    publicDetail:
      state === "held"
        ? "It is held, and releasing is not supported yet."
        : `It is ${state}; only failed, uncertain and partially sent emails are replayed.`,
  });
}
