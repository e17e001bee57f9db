import { domainIndexes } from "../../content/failure-index.ts";
import { deadLetterStates } from "../../email/states.ts";
import { AppError } from "../../errors.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { createBulkRoute } from "../emails/change-emails.ts";
import { findEmail } from "../emails/find-email.ts";
import { statusAnswer, targetOf } from "../emails/patch-email.ts";
import {
  deadLetterFilterOf,
  deadLetterFilterSchema,
  dismissesSchema,
  dismissSchema,
  isEmptyFilter,
} from "../request/bulk-fields.ts";
import { readFields } from "../request/read-fields.ts";
import { readOptionalJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";

/**
 * POST /api/v1/dead-letters/{id}/dismiss: a person needs to decide nothing about it any more. It
 * keeps its status, and can be replayed all the same; again is no change.
 */
export function createDismissDeadLetter(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { id, origin } = targetOf(c, deps);
    const { fields, faults } = readFields(await readOptionalJson(c, deps), dismissSchema);
    if (faults.length > 0) throw invalidContent(faults);
    const wanted = { change: "dismiss", reason: fields.reason ?? null } as const;
    const chunk = { ids: [id], bulk: null, origin };
    const changed = await deps.bulkChange.change(wanted, chunk, claimsOf(c));
    if (changed === 0) await assertDeadLetter(c, deps);
    return statusAnswer(c, deps);
  };
}

async function assertDeadLetter(c: ApiContext, deps: AppDeps): Promise<void> {
  const { status } = await findEmail(c, deps);
  if ((deadLetterStates as readonly string[]).includes(status)) return;
  const publicDetail = `The email is ${status}; only dead letters are dismissed.`;
  throw new AppError("not_a_dead_letter", { publicDetail });
}

/** POST /api/v1/dead-letters/dismiss: the same for many, by the filter of replay. */
export function createDismissDeadLetters(deps: AppDeps) {
  return createBulkRoute(deps, "/api/v1/dead-letters/dismiss", "dismissed", (body) => {
    const { fields, faults } = readFields(body, dismissesSchema);
    const given = readFields(fields.filter ?? {}, deadLetterFilterSchema, "/filter");
    faults.push(...given.faults);
    const { all, ...filter } = given.fields;
    if (given.faults.length === 0 && isEmptyFilter(filter) && all !== true) {
      const detail = 'expected at least one field, or "all": true for every dead letter, got none';
      faults.push({ pointer: "/filter", detail });
    }
    if (faults.length > 0) throw invalidContent(faults);
    return {
      wanted: { change: "dismiss", reason: fields.reason ?? null },
      filter: deadLetterFilterOf(filter, (domain) => domainIndexes(deps.keyRing, domain)),
      isDryRun: fields.dry_run ?? false,
    };
  });
}
