import { isMessageNeeded } from "../queue/stored-details.ts";
import { answer } from "./answer.ts";
import type { ApiContext } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";
import { wholeEmailAnswer } from "./email-answer.ts";
import { findEmail } from "./find-email.ts";

/** GET /api/v1/emails/{id} */
export function createGetEmail(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const found = await findEmail(c, deps, { details: true });
    const email = isMessageNeeded(found, deps.keyRing)
      ? await findEmail(c, deps, { details: true, message: true })
      : found;
    return answer(c, wholeEmailAnswer(email, deps));
  };
}
