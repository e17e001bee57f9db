import type { BreakerSnapshot } from "../delivery/limits/breaker.ts";
import type { Metrics } from "./metrics.ts";
import { registerReadings } from "./register-readings.ts";

const states = ["closed", "open", "half_open"] as const;

/** Whether mail gets through, for each transport this process sends by. */
export function registerBreakers(
  metrics: Metrics,
  breakers: readonly { transport: string; snapshot: () => BreakerSnapshot }[],
): void {
  const ofEach = (read: (snapshot: BreakerSnapshot) => number) => () =>
    breakers.map(({ transport, snapshot }) => ({
      labels: { transport },
      value: read(snapshot()),
    }));
  const labelNames = ["transport"];
  registerReadings(metrics, () => breakers, [
    {
      name: "transport_breaker_state",
      help: "1 for the state the breaker is in; open: the SMTP server refuses us, emails wait.",
      labelNames: ["transport", "state"],
      read: () =>
        breakers.flatMap(({ transport, snapshot }) =>
          states.map((state) => ({
            labels: { transport, state },
            value: snapshot().state === state ? 1 : 0,
          })),
        ),
    },
    {
      name: "transport_breaker_opened_total",
      help: "How often the breaker opened.",
      isCounter: true,
      labelNames,
      read: ofEach(({ opened }) => opened),
    },
    {
      name: "transport_breaker_probe_seconds",
      help: "Until the next probe; 0 while one is under way or the breaker is closed.",
      labelNames,
      read: ofEach(({ nextProbeInMs }) => (nextProbeInMs ?? 0) / 1000),
    },
    {
      name: "transport_breaker_limit",
      help: "Emails let through at once; low while a transport that was down comes back.",
      labelNames,
      read: ofEach(({ limit }) => limit),
    },
  ]);
}
