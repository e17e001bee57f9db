import type { Route } from "../app.ts";
import type { AppDeps } from "../app-deps.ts";
import { createDismissDeadLetter, createDismissDeadLetters } from "../dead-letters/dismiss.ts";
import { createListDeadLetterGroups } from "../dead-letters/list-dead-letter-groups.ts";
import { createReplayDeadLetter } from "../dead-letters/replay-dead-letter.ts";
import { createReplayDeadLetters } from "../dead-letters/replay-dead-letters.ts";
import {
  dismissesSchema,
  dismissSchema,
  holdsSchema,
  releasesSchema,
  replaysSchema,
  reschedulesSchema,
} from "../request/bulk-fields.ts";
import {
  deadLetterParameters,
  filterParameters,
  pageParameters,
  sortParameters,
} from "../request/list-query.ts";
import { editSchema } from "../request/to-edit.ts";
import { createHoldEmails, createReleaseEmails, createRescheduleEmails } from "./change-emails.ts";
import { createEraseRecipient, eraseSchema } from "./erase-recipient.ts";
import { createListDeadLetters } from "./list-emails.ts";

/** What waits for a person, and what a person does about it. */
export function deadLetterRoutes(deps: AppDeps, v1: string): Route[] {
  const read = { method: "GET", auth: "bearer", needs: "read", isOfReplica: true } as const;
  const send = { method: "POST", auth: "bearer", needs: "send", query: [] } as const;
  const lists = [...filterParameters, ...pageParameters, ...sortParameters];
  const query = [...lists, ...deadLetterParameters];
  return [
    { ...read, path: `${v1}/dead-letters`, query, run: createListDeadLetters(deps) },
    {
      ...read,
      path: `${v1}/dead-letters/groups`,
      query: [...pageParameters, "owner"],
      run: createListDeadLetterGroups(deps),
    },
    {
      ...send,
      path: `${v1}/dead-letters/replay`,
      body: replaysSchema,
      isHeavy: true,
      run: createReplayDeadLetters(deps),
    },
    {
      ...send,
      path: `${v1}/dead-letters/:id/replay`,
      body: editSchema,
      run: createReplayDeadLetter(deps),
    },
    {
      ...send,
      path: `${v1}/dead-letters/:id/dismiss`,
      body: dismissSchema,
      run: createDismissDeadLetter(deps),
    },
    {
      ...send,
      isHeavy: true,
      path: `${v1}/dead-letters/dismiss`,
      body: dismissesSchema,
      run: createDismissDeadLetters(deps),
    },
  ];
}

/** Changes of many emails by one POST. */
export function bulkRoutes(deps: AppDeps, v1: string): Route[] {
  const send = { method: "POST", auth: "bearer", needs: "send", query: [], isHeavy: true } as const;
  return [
    { ...send, path: `${v1}/hold`, body: holdsSchema, run: createHoldEmails(deps) },
    { ...send, path: `${v1}/erase`, body: eraseSchema, run: createEraseRecipient(deps) },
    { ...send, path: `${v1}/release`, body: releasesSchema, run: createReleaseEmails(deps) },
    {
      ...send,
      path: `${v1}/reschedule`,
      body: reschedulesSchema,
      run: createRescheduleEmails(deps),
    },
  ];
}
