import { z } from "zod";
import { isOwnerId } from "../../auth/principal.ts";
import { parseAddress } from "../../email/parse-address.ts";
import { AppError } from "../../errors.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { expecting } from "../request/field-schemas.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";

/** None may be null: a variable that happens to be empty would make a dry run a real one. */
export const eraseSchema = z.strictObject({
  recipient: z.string(expecting("an address such as ada@example.com")),
  owner: z
    .string(expecting("the id of an owner"))
    .refine(isOwnerId, expecting("the id of an owner, 1 to 255 characters"))
    .optional(),
  dry_run: z.boolean(expecting("true or false")).optional(),
});

/**
 * POST /api/v1/erase: destroys the content of every email to one person that has ended, the caller's
 * own or, for an admin, everybody's. It may be asked again: what is destroyed already is not counted.
 */
export function createEraseRecipient(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { fields, faults } = readFields(await readJson(c, deps), eraseSchema);
    const parsed = parseAddress(fields.recipient ?? "");
    if (faults.length === 0 && !("value" in parsed)) {
      faults.push({ pointer: "/recipient", detail: parsed.fault });
    }
    if (faults.length > 0 || !("value" in parsed)) throw invalidContent(faults);
    const { isAdmin, ownerId } = principalOf(c);
    const { owner: asked = null, dry_run: isDryRun = false } = fields;
    if (asked !== null && asked !== ownerId && !isAdmin) {
      throw new AppError("forbidden", { publicDetail: "Emails of others are for admins." });
    }
    // Many emails may keep us silent for longer than the server waits.
    c.env?.server?.timeout(c.req.raw, 0);
    const addressIndexes = deps.keyRing.blindIndexes(parsed.value.address);
    const origin = deps.peerAddress?.(c) ?? null;
    const request = { addressIndexes, ownerId: asked, isDryRun, origin };
    const { erased, notFinished } = await deps.eraseRecipient(request, claimsOf(c));
    return answer(c, { erased, not_finished: notFinished, dry_run: isDryRun });
  };
}
