import { deadLetterStates } from "../email/states.ts";
import type { EmailFilter, EmailPage } from "../store/stored-email.ts";
import { answer } from "./answer.ts";
import { type ApiContext, claimsOf } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";
import { emailAnswer } from "./email-answer.ts";
import { writeCursor } from "./list-cursor.ts";
import { type PageQuery, readListQuery } from "./list-query.ts";

/** More than so many are not counted: that would take longer the more there are. */
const totalMax = 5_000;

type ListOptions = { withAttempts: boolean; within?: NonNullable<EmailFilter["statuses"]> };

/** GET /api/v1/scheduled-emails: newest first, without attempts. */
export function createListEmails(deps: AppDeps) {
  return (c: ApiContext) => list(c, deps, { withAttempts: false });
}

/** GET /api/v1/dead-letters: what waits for a person, with the full record of attempts. */
export function createListDeadLetters(deps: AppDeps) {
  const within: EmailFilter["statuses"] = [...deadLetterStates];
  return (c: ApiContext) => list(c, deps, { withAttempts: true, within });
}

async function list(
  c: ApiContext,
  deps: AppDeps,
  { withAttempts, within }: ListOptions,
): Promise<Response> {
  const { filter, page } = readListQuery(c, deps.keyRing.blindIndexes);
  const statuses = within && (filter.statuses?.filter((one) => within.includes(one)) ?? within);
  const asked = statuses === undefined ? filter : { ...filter, statuses };
  const found = await deps.emails.list(asked, page, claimsOf(c), { withAttempts, totalMax });
  return answer(
    c,
    found.emails.map((email) => emailAnswer(email, deps, { withAttempts })),
    { page: pageAnswer(page, found) },
  );
}

function pageAnswer({ limit, offset }: PageQuery, { total, next }: EmailPage) {
  return {
    limit,
    ...(offset === null ? {} : { offset }),
    ...(total === null ? {} : { total }),
    next_cursor: next && writeCursor(next),
  };
}
