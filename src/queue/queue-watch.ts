import type { Logger } from "../log.ts";
import type { Presence } from "../store/presence.ts";
import { createAnswerWithin } from "./answer-within.ts";
import type { QueueBackend } from "./queue-backend.ts";

export interface QueueWatchDeps {
  backend: Pick<QueueBackend, "readMarker" | "writeMarker">;
  presence: Pick<Presence, "setQueueMarker">;
  log: Logger;
  newId: () => string;
}

const markerTimeoutMs = 1_500;
/** A queue that was not seen for longer cannot be what keeps its region alive. */
const queueSeenWithinMs = 10_000;

export type QueueWatch = ReturnType<typeof createQueueWatch>;

/** Sees whether the queue is there, and whether it is another one than before. */
export function createQueueWatch({ backend, presence, log, newId }: QueueWatchDeps) {
  let known: string | null = null;
  let seenAt = Number.NEGATIVE_INFINITY;
  const event = "queue marker cannot be read; trying again";
  const answerWithin = createAnswerWithin({ timeoutMs: markerTimeoutMs, event, log });
  const readOrWrite = async () => (await backend.readMarker()) ?? backend.writeMarker(newId());

  return {
    get isSeen() {
      return performance.now() - seenAt < queueSeenWithinMs;
    },
    /** `new` once for a queue that has lost what was in it; `gone` when it does not answer. */
    async check(): Promise<"same" | "new" | "gone"> {
      const marker = await answerWithin(readOrWrite());
      if (marker === null) return "gone";
      seenAt = performance.now();
      if (marker === known) return "same";
      const { isNew } = await presence.setQueueMarker(marker);
      if (isNew && known !== null) log.warn("queue was lost; building it anew");
      known = marker;
      return isNew ? "new" : "same";
    },
  };
}
