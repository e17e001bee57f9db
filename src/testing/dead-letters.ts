import type { Attempts, ClaimedEmail, Settlement } from "../store/attempts.ts";
import type { Database } from "../store/database.ts";
import type { Emails } from "../store/emails.ts";
import type { NewEmail, ScheduleRequest } from "../store/stored-email.ts";
import { claimedOne } from "./claim-one.ts";
import { newEmail, store } from "./new-email.ts";

/** Stores emails and claims them, as a worker does. */
export async function claimed(
  emails: Emails,
  { database, attempts }: { database: Database; attempts: Attempts },
  drafts: Partial<NewEmail>[],
  fields: Partial<ScheduleRequest> = {},
): Promise<ClaimedEmail[]> {
  const stored = await store(emails, drafts.map(newEmail), fields);
  return Promise.all(stored.map(({ id }) => claimedOne(database, attempts, id)));
}

/** The attempt refused everybody with a 550. */
export function refusal(email: ClaimedEmail, fields: Partial<Settlement> = {}): Settlement {
  const said = { smtpCode: 550, enhancedCode: "5.1.1", reply: "reply-ciphertext" };
  return {
    id: email.id,
    token: email.token,
    transport: "smtp.example:25",
    outcome: "bounced",
    nextState: "failed",
    retryInMs: null,
    ...said,
    recipients: email.recipients.map(({ position }) => ({ position, status: "bounced", ...said })),
    ...fields,
  };
}

/** Emails that were refused for good; their ids, in the order of the drafts. */
export async function deadLetters(
  emails: Emails,
  worker: { database: Database; attempts: Attempts },
  drafts: Partial<NewEmail>[],
  {
    settled = {},
    request = {},
  }: { settled?: Partial<Settlement>; request?: Partial<ScheduleRequest> } = {},
): Promise<string[]> {
  const all = await claimed(emails, worker, drafts, request);
  await Promise.all(all.map((email) => worker.attempts.settle(refusal(email, settled))));
  return all.map(({ id }) => id);
}
