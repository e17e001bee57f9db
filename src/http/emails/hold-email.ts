import { z } from "zod";
import { pastFault } from "../../email/parse-time.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { isPlainObject, sendingTimeField } from "../request/field-schemas.ts";
import { readFields } from "../request/read-fields.ts";
import { readOptionalJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";
import { statusAnswer, targetOf } from "./patch-email.ts";

export const holdSchema = z.strictObject({});
export const releaseSchema = z.strictObject({ scheduled_at: sendingTimeField });

/** POST /api/v1/emails/{id}/hold: stops it until a person releases it. */
export function createHoldEmail(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const target = targetOf(c, deps);
    const { faults } = readFields(await readOptionalJson(c, deps), holdSchema);
    if (faults.length > 0) throw invalidContent(faults);
    await deps.change.hold(target);
    return statusAnswer(c, deps);
  };
}

/** POST /api/v1/emails/{id}/release: at its time, or at `scheduled_at`. */
export function createReleaseEmail(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const target = targetOf(c, deps);
    const body = await readOptionalJson(c, deps);
    const { fields, faults } = readFields(body, releaseSchema);
    const { scheduled_at: scheduledAt = null } = fields;
    const past = scheduledAt && pastFault(scheduledAt, deps.now());
    if (past !== null) faults.push({ pointer: "/scheduled_at", detail: past });
    if (faults.length > 0) throw invalidContent(faults);
    const isTimed = isPlainObject(body) && Object.hasOwn(body, "scheduled_at");
    await deps.change.release(isTimed ? { ...target, scheduledAt } : target);
    return statusAnswer(c, deps);
  };
}
