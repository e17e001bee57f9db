import { isMessageNeeded } from "../../content/stored-details.ts";
import { answer } from "../answer.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { holdForRead, sendLarge } from "../middleware/large-read.ts";
import { wholeEmailAnswer } from "./email-answer.ts";
import { findEmail } from "./find-email.ts";

/** GET /api/v1/emails/{id} */
export function createGetEmail(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const found = await findEmail(c, deps, { details: true });
    if (!isMessageNeeded(found, deps.keyRing)) return answer(c, wholeEmailAnswer(found, deps));
    await holdForRead(c, deps, found.messageBytes);
    const email = await findEmail(c, deps, { details: true, message: true });
    const { status, headers, body } = answer(c, wholeEmailAnswer(email, deps));
    const content = await new Response(body).bytes();
    return await sendLarge(c, deps, { content, status, headers });
  };
}
