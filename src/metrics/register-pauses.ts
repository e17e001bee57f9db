import type { Pause } from "../store/pauses.ts";
import type { Metrics } from "./metrics.ts";
import { registerReadings } from "./register-readings.ts";

const kinds = ["region", "owner", "database"] as const;

/** The pauses of all regions; the same in every process: `max`, not `sum`, over them. */
export function registerPauses(
  metrics: Metrics,
  pauses: { readonly last: readonly Pause[] },
): void {
  registerReadings(metrics, () => pauses.last, [
    {
      name: "sending_paused",
      help: "Regions and owners whose sending somebody has paused; database: it was restored or copied.",
      labelNames: ["kind"],
      read: (last) =>
        kinds.map((kind) => ({
          labels: { kind },
          value: last.filter((pause) => pause.kind === kind).length,
        })),
    },
  ]);
}
