import type { Fleet, FleetView } from "../delivery/fleet.ts";
import type { Metrics } from "./metrics.ts";
import { registerReadings } from "./register-readings.ts";

/** The state of all processes; the same in every one: `max`, not `sum`, over them. */
export function registerFleet(metrics: Metrics, fleet: Pick<Fleet, "view">): void {
  registerReadings<FleetView>(metrics, () => fleet.view(), [
    {
      name: "transport_up",
      help: "1 while mail gets through the transport from at least one process that sends.",
      labelNames: ["transport"],
      read: ({ transports }) =>
        [...new Set(transports.map(({ name }) => name))].map((transport) => ({
          labels: { transport },
          value: transports.some(({ name, detail }) => name === transport && detail === null)
            ? 1
            : 0,
        })),
    },
  ]);
}
