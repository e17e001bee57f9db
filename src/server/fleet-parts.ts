import type { Config } from "../config.ts";
import { createFleet } from "../delivery/fleet.ts";
import type { Breaker } from "../delivery/limits/breaker.ts";
import { createProbeWatch } from "../delivery/limits/probe-watch.ts";
import type { Logger } from "../log.ts";
import type { Database } from "../store/database.ts";
import { createFleetStore } from "../store/fleet.ts";
import { createProbeRequests } from "../store/probe-requests.ts";
import { createProcesses } from "../store/processes.ts";
import { type OwnParts, ownState } from "./own-state.ts";

/** What this process tells the others and hears of them. */
export function createFleetParts(
  { role, region }: Config,
  database: Database,
  known: Omit<OwnParts, "role"> & { workerId: string; breaker: Breaker },
  log: Logger,
) {
  const { workerId, breaker, sender } = known;
  const store = createFleetStore(database, { workerId, region });
  const probeRequests = createProbeRequests(database, region);
  const probeWatch = createProbeWatch({
    ...{ requests: probeRequests, breaker, log },
    transport: sender.name,
  });
  const fleet = createFleet({
    ...{ store, workerId, role, log },
    own: () => ownState({ ...known, role }),
  });
  return {
    ...{ fleet, probeRequests },
    processes: createProcesses(database),
    /** To be called every second; a process that only accepts sends by no transport. */
    look: async () =>
      void (await Promise.all([fleet.look(), role === "api" ? null : probeWatch.look()])),
  };
}
