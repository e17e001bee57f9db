import { deadLetterStates } from "../../email/states.ts";
import type { EmailFilter, EmailPage } from "../../store/stored-email.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { writeCursor } from "../request/list-cursor.ts";
import { type PageQuery, readListQuery } from "../request/list-query.ts";
import { emailAnswer } from "./email-answer.ts";

/** More than so many are not counted: that would take longer the more there are. */
const totalMax = 5_000;

type ListOptions = { withAttempts: boolean; within?: NonNullable<EmailFilter["statuses"]> };

/** GET /api/v1/scheduled-emails: newest first, or by due time, without attempts. */
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
  const asked = within === undefined ? filter : deadLettersOf(filter, within);
  const found = await deps.emails.list(asked, page, claimsOf(c), { withAttempts, totalMax });
  return answer(
    c,
    found.emails.map((email) => emailAnswer(email, deps, { withAttempts })),
    { page: pageAnswer(page, found) },
  );
}

/** What no person has dismissed; none is deferred. */
function deadLettersOf(
  { statuses, isDeferred, ...filter }: EmailFilter,
  within: NonNullable<EmailFilter["statuses"]>,
): EmailFilter {
  const all = isDeferred ? [] : within;
  const asked = statuses?.filter((one) => within.includes(one)) ?? all;
  return { ...filter, statuses: asked, isDeferred: false, isOpen: true };
}

function pageAnswer({ limit, offset, sort }: PageQuery, { total, next }: EmailPage) {
  return {
    limit,
    ...(offset === null ? {} : { offset }),
    ...(total === null ? {} : { total }),
    next_cursor: next && writeCursor(next, sort),
  };
}
