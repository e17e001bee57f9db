import type { BeforeHook, HookContext } from "@bull-board/api/typings/app";
/** The view of all emails; it exists on the board alone. */
export const emailsQueueName = "emails";

/** The queue of the periodic work, as `server/maintenance.ts` names it. */
export const maintenanceQueueName = "maintenance";

/** The queue whose failed jobs are the dead letters; it exists on the board alone. */
export const deadLetterQueueName = "dead-letters";

/**
 * Bull Board can empty, edit and obliterate queues. Everything it offers that changes something
 * is refused but for these, whichever button was pressed and whatever a later version adds.
 */
const allowedActions: readonly { route: string; queueName: string }[] = [
  { route: "/api/queues/:queueName/pause", queueName: emailsQueueName },
  { route: "/api/queues/:queueName/resume", queueName: emailsQueueName },
  { route: "/api/queues/:queueName/:jobId/retry", queueName: emailsQueueName },
  { route: "/api/queues/:queueName/:jobId/promote", queueName: emailsQueueName },
  { route: "/api/queues/:queueName/:jobId/clean", queueName: emailsQueueName },
  { route: "/api/queues/:queueName/:jobId/retry", queueName: deadLetterQueueName },
  { route: "/api/queues/:queueName/:jobId/promote", queueName: maintenanceQueueName },
];

export const refuseActions: BeforeHook = (context) =>
  isAllowed(context)
    ? undefined
    : { allow: false, status: 403, errorKey: "ERRORS.FORBIDDEN", message: refusal };

const refusal =
  "The board pauses and resumes sending; of a single email it replays a dead letter, sends a " +
  "pending one now, or cancels it. Of the periodic work it runs the next one now.";

function isAllowed({ method, route, request }: HookContext): boolean {
  if (method === "get") return true;
  const { queueName } = request.params;
  return (
    method === "put" &&
    allowedActions.some((action) => action.route === route && action.queueName === queueName)
  );
}
