import { AsyncLocalStorage } from "node:async_hooks";
import type { Claims } from "../store/database.ts";

/** On whose behalf a request to the board reads and acts. */
export interface Acting {
  claims: Claims;
  /** The admin's network address, for the journal; null when unknown. */
  origin: string | null;
}

/**
 * The actor, for the queues behind Bull Board: it hands them a job's id and nothing of the
 * request.
 */
export function createActing() {
  const storage = new AsyncLocalStorage<Acting>();
  return {
    run: <T>(acting: Acting, work: () => T): T => storage.run(acting, work),
    who(): Acting {
      const acting = storage.getStore();
      if (acting === undefined) throw new Error("a queue of the board was used outside a request");
      return acting;
    },
  };
}
