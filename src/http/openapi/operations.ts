import type { Operation } from "./operation.ts";
import { deadLetterOperations } from "./operations/dead-letters.ts";
import { emailOperations } from "./operations/emails.ts";
import { eventOperations } from "./operations/events.ts";
import { journalAndKeyOperations } from "./operations/journal-and-keys.ts";
import { manyEmailsOperations } from "./operations/many-emails.ts";
import { resendOperations } from "./operations/resend.ts";
import { runningOperations } from "./operations/running.ts";
import { schedulingOperations } from "./operations/scheduling.ts";
import { webhookOperations } from "./operations/webhooks.ts";

/**
 * What the document says of every route. A route of `app.ts` that is missing here, or one that is
 * here and not there, is named by `document.test.ts` and by `app.test.ts`.
 */
export const operations: readonly Operation[] = [
  ...schedulingOperations,
  ...emailOperations,
  ...manyEmailsOperations,
  ...deadLetterOperations,
  ...eventOperations,
  ...webhookOperations,
  ...journalAndKeyOperations,
  ...resendOperations,
  ...runningOperations,
];
