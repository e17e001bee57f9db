import type { Logger } from "../log.ts";

/** Tells of an outage when it begins and when it ends, and not at every try in between. */
export interface OutageLog {
  failed(error: unknown): void;
  works(): void;
}

/** `component` as the log shall name it. */
export function createOutageLog(log: Logger, component: string): OutageLog {
  let isDown = false;
  return {
    failed(error) {
      if (!isDown) log.warn("not reachable; trying again", { component, err: error });
      isDown = true;
    },
    works() {
      if (isDown) log.info("reachable again", { component });
      isDown = false;
    },
  };
}
