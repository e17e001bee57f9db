import type { Logger } from "../log.ts";
import { endedWithin } from "./abortable.ts";

/** Closes queues and workers, all at once; at the deadline without them. Never rejects. */
export async function closeAll(
  closers: (() => Promise<void>)[],
  deadlineMs: number,
  log: Logger,
): Promise<void> {
  const closed = Promise.all(closers.map((close) => close()));
  await endedWithin(closed, deadlineMs, (err) =>
    log.warn("queue was not closed in order", { err }),
  );
}
