import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { statusAnswer, targetOf, versionsOf } from "../emails/patch-email.ts";
import { readOptionalJson } from "../request/read-json.ts";
import { editedFields, toEdit } from "../request/to-edit.ts";

/**
 * POST /api/v1/dead-letters/{id}/replay: sends it again, edited perhaps, to those who have not
 * got it. It is due now unless `scheduled_at` says otherwise.
 */
export function createReplayDeadLetter(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const target = targetOf(c, deps);
    const versions = versionsOf(c);
    const body = await readOptionalJson(c, deps);
    await deps.change.replay({
      ...target,
      versions,
      fields: editedFields(body),
      revise: (current) =>
        toEdit(body, current, { config: deps.config, now: deps.now(), isReplay: true }),
    });
    return statusAnswer(c, deps);
  };
}
