import type { QueueBackend } from "./queue-backend.ts";

/** Whether the queue takes jobs. */
export interface QueueHealth {
  /**
   * `evicting`: it takes jobs and may forget them. `silent`: it does not answer. `refusing`: it
   * answers, and takes no jobs now. `unusable`: it answers, and cannot be our queue as it is set up.
   */
  state: "ok" | "evicting" | "silent" | "refusing" | "unusable";
  /** For a person: what is wrong, and what to do; no addresses. Empty when all is well. */
  detail: string;
  advice: string;
}

/** Takes every job, and keeps it. */
export const queueOk: QueueHealth = { state: "ok", detail: "", advice: "" };

/** What this process knows of whether its queue takes jobs. */
export interface QueueHealthWatch {
  /** As of the last look; `ok` before the first. */
  readonly last: QueueHealth;
  /** Looks now; who asks while a look is under way gets its answer. Never rejects. */
  look(): Promise<QueueHealth>;
}

export function createQueueHealthWatch(backend: Pick<QueueBackend, "check">): QueueHealthWatch {
  let last = queueOk;
  let looking: Promise<QueueHealth> | null = null;

  async function ask(): Promise<QueueHealth> {
    last = await backend.check();
    looking = null;
    return last;
  }

  return {
    get last() {
      return last;
    },
    look() {
      looking ??= ask();
      return looking;
    },
  };
}
