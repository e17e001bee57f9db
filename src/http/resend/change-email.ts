import { parseWhen } from "../../email/parse-when.ts";
import { AppError } from "../../errors.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { targetOf } from "../emails/patch-email.ts";
import { emailIdOf, noSuchEmail } from "../request/email-id.ts";
import { isPlainObject } from "../request/field-schemas.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";
import { toEdit } from "../request/to-edit.ts";
import { resendUpdateSchema } from "./email-fields.ts";
import { resendRefusal } from "./failure.ts";

/** PATCH /emails/{id}: another time, which is all that Resend changes. */
export function createResendUpdate(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const target = targetOf(c, deps);
    const scheduledAt = readTime(await readJson(c, deps), deps.now());
    await deps.change.edit({
      ...target,
      versions: null,
      fields: ["scheduled_at"],
      revise: (current) =>
        toEdit({ scheduled_at: scheduledAt.toISOString() }, current, {
          config: deps.config,
          now: deps.now(),
          isReplay: false,
        }),
    });
    return c.json({ object: "email", id: target.id, scheduled_at: scheduledAt });
  };
}

function readTime(body: unknown, now: Date): Date {
  if (isPlainObject(body) && body.scheduled_at == null) {
    throw resendRefusal("missing_required_field", "Missing `scheduled_at` field.");
  }
  const { fields, faults } = readFields(body, resendUpdateSchema);
  if (faults.length > 0) throw invalidContent(faults);
  const when = parseWhen(fields.scheduled_at, now);
  if ("value" in when) return when.value;
  throw invalidContent([{ pointer: "/scheduled_at", detail: when.fault }]);
}

/** POST /emails/{id}/cancel: it will never be sent. */
export function createResendCancel(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const id = emailIdOf(c);
    const cancelled = await deps.emails.cancel(id, claimsOf(c), deps.peerAddress?.(c) ?? null);
    if (cancelled === "not_found") throw noSuchEmail();
    if (cancelled === "cancelled") return c.json({ object: "email", id });
    const publicDetail = `This email can no longer be canceled (${cancelled}).`;
    throw new AppError(cancelled, { publicDetail });
  };
}
