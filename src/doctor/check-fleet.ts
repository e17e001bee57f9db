import { createFleetStore } from "../store/fleet.ts";
import { type Finding, failed, type Patient, warning } from "./finding.ts";
import { transportWords } from "./health-of-fleet.ts";

/** What running processes say of themselves, when they have something to say; they see more. */
export async function checkFleet({ config, database }: Patient): Promise<Finding[]> {
  if (database === null) return [];
  const store = createFleetStore(database, { workerId: null, region: config.region });
  const states = (await store.read()).flatMap(({ state }) => state ?? []);
  const words = transportWords(states.flatMap(({ transports }) => transports));
  const queues = new Set(states.flatMap(({ queue }) => queue ?? []));
  const seeSmtp = "See the finding on smtp: it is asked from here; and /health of the servers.";
  return [
    ...(words === "" ? [] : [failed("transport", `in running processes: ${words}`, seeSmtp)]),
    ...[...queues].map((queue) =>
      warning("queue", `in a running process: ${queue}`, "See the finding on queue, from here."),
    ),
  ];
}
