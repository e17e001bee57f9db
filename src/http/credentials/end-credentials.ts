import { z } from "zod";
import { isOwnerId } from "../../auth/principal.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { expecting } from "../request/field-schemas.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";

const ownerExpected = expecting("the id of an owner, 1 to 255 characters");
const owner = z.string(ownerExpected).refine(isOwnerId, ownerExpected);

export const endSessionsSchema = z.strictObject({
  owner: owner.optional(),
  all: z.literal(true, expecting("true, or nothing")).optional(),
});
export const endTokensSchema = z.strictObject({ sub: owner });

/** POST /api/v1/sessions/end: sessions of the console, of one owner or of everybody, end at once. */
export function createEndSessions(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { fields, faults } = readFields(await readJson(c, deps), endSessionsSchema);
    const isOne = (fields.owner === undefined) !== (fields.all === undefined);
    // Nothing is ended by a variable that happens to be empty.
    if (faults.length === 0 && !isOne) {
      faults.push({ pointer: "", detail: "expected owner, or all: true; one of the two" });
    }
    if (faults.length > 0) throw invalidContent(faults);
    const ended = await deps.endings.sessions(fields.owner ?? null, callerOf(c, deps));
    return answer(c, { owner: fields.owner ?? null, ended });
  };
}

/**
 * POST /api/v1/tokens/end: no token of this owner counts that was issued up to now, on every process
 * within two seconds. Answered once the second is over, so that a token made afterwards counts.
 */
export function createEndTokens(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { fields, faults } = readFields(await readJson(c, deps), endTokensSchema);
    if (faults.length > 0) throw invalidContent(faults);
    const sub = fields.sub ?? "";
    const { notBefore, sessions } = await deps.endings.tokens(sub, callerOf(c, deps));
    return answer(c, { sub, not_before: notBefore, sessions_ended: sessions });
  };
}

function callerOf(c: ApiContext, { peerAddress }: AppDeps) {
  return { claims: claimsOf(c), origin: peerAddress?.(c) ?? null };
}
