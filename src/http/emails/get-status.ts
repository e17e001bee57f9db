import type { StoredEmail } from "../../store/stored-email.ts";
import { answer } from "../answer.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { emailAnswer } from "./email-answer.ts";
import { findEmail } from "./find-email.ts";

/** GET /api/v1/status/{id} */
export function createGetStatus(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const email = await findEmail(c, deps);
    const status = emailAnswer(email, deps, { withAttempts: true });
    return answer(c, { ...status, ...(await waitingFor(email, deps)) });
  };
}

/** Why an email that is past its time has not been sent: nothing gets out at the moment. */
async function waitingFor({ dueSince }: StoredEmail, deps: AppDeps) {
  const isOverdue = dueSince !== null && dueSince <= deps.now();
  const isWaiting = isOverdue && ((await deps.isTransportDown?.()) ?? false);
  return isWaiting ? { waiting_for: "transport" as const } : {};
}
