import { missingScope } from "../../auth/principal.ts";
import { AppError } from "../../errors.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf, heldBytesOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { emailIdOf } from "../request/email-id.ts";
import { readJson } from "../request/read-json.ts";
import { editedFields, toEdit } from "../request/to-edit.ts";
import { emailAnswer, shortAnswer } from "./email-answer.ts";
import { findEmail } from "./find-email.ts";

/** PATCH /api/v1/emails/{id}: any field of an email, until it is claimed. */
export function createPatchEmail(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const target = targetOf(c, deps);
    const versions = versionsOf(c);
    const body = await readJson(c, deps);
    await deps.change.edit({
      ...target,
      versions,
      fields: editedFields(body),
      revise: (current) =>
        toEdit(body, current, { config: deps.config, now: deps.now(), isReplay: false }),
    });
    return statusAnswer(c, deps);
  };
}

/** The email of the path, on behalf of the caller. */
export function targetOf(c: ApiContext, deps: AppDeps) {
  const origin = deps.peerAddress?.(c) ?? null;
  return { id: emailIdOf(c), claims: claimsOf(c), origin, heldBytes: () => heldBytesOf(c) };
}

/**
 * The status object as it is after a change; without the right to read, what the change was about and
 * no more: the id, the state, the version and the times.
 */
export async function statusAnswer(c: ApiContext, deps: AppDeps): Promise<Response> {
  const email = await findEmail(c, deps);
  if (missingScope(principalOf(c), "read") !== null) return answer(c, shortAnswer(email));
  return answer(c, emailAnswer(email, deps, { withAttempts: true }));
}

/** The versions If-Match names; null: any will do. Tags that are no version of ours never match. */
export function versionsOf(c: ApiContext): number[] | null {
  const text = c.req.header("if-match")?.trim();
  if (text === undefined || text === "*") return null;
  const tags = text.split(",").map((tag) => tag.trim());
  if (tags.every((tag) => /^(?:W\/)?"[^"]*"$/.test(tag))) {
    return tags.filter((tag) => /^"\d{1,9}"$/.test(tag)).map((tag) => Number(tag.slice(1, -1)));
  }
  throw new AppError("invalid_content", {
    publicDetail: 'If-Match is expected to be a version in double quotes, such as "3".',
  });
}
