import { z } from "zod";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { readFields } from "../request/read-fields.ts";
import { readOptionalJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";
import { statusAnswer, targetOf, versionsOf } from "./patch-email.ts";

export const sendNowSchema = z.strictObject({});

/**
 * POST /api/v1/emails/{id}/send-now: makes a pending or held email due now. The journal has it as
 * the change of time, or the release, that it is.
 */
export function createSendNow(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const target = targetOf(c, deps);
    const versions = versionsOf(c);
    const { faults } = readFields(await readOptionalJson(c, deps), sendNowSchema);
    if (faults.length > 0) throw invalidContent(faults);
    await deps.change.sendNow({ ...target, versions });
    return statusAnswer(c, deps);
  };
}
