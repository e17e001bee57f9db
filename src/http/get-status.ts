import { answer } from "./answer.ts";
import type { ApiContext } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";
import { emailAnswer } from "./email-answer.ts";
import { findEmail } from "./find-email.ts";

/** GET /api/v1/status/{id} */
export function createGetStatus(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const email = await findEmail(c, deps);
    return answer(c, emailAnswer(email, deps, { withAttempts: true }));
  };
}
