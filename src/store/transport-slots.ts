import { type Database, partClaims } from "./database.ts";
import { createGroupCommit } from "./group-commit.ts";

/** The limit that all processes and regions on this database share. */
export interface TransportSlots {
  /** Takes the next slot. Slots are spaced evenly by the database's clock; one not used is lost. */
  reserve(): Promise<TransportSlot>;
}

export interface TransportSlot {
  /** Until a message may be handed over. */
  waitMs: number;
  /** Another process has taken slots of this transport within the last minute. */
  isShared: boolean;
}

export interface TransportSlotsOptions {
  region: string;
  /** Processes that share the name share the limit. */
  transport: string;
  ratePerSecond: number;
  /** While several processes take slots; default: `ratePerSecond`. */
  sharedRatePerSecond?: number;
  /** This process, unlike every other. */
  holder: string;
}

interface Reserved {
  wait_ms: number[];
  shared: boolean;
}

export function createTransportSlots(
  database: Database,
  { region, transport, ratePerSecond, sharedRatePerSecond, holder }: TransportSlotsOptions,
): TransportSlots {
  const claims = partClaims("worker", region);
  const rates = {
    rate_per_second: ratePerSecond,
    shared_rate_per_second: sharedRatePerSecond ?? ratePerSecond,
  };
  const commits = createGroupCommit<null, TransportSlot>({
    send: async ({ length: count }, { lockTimeoutMs }) => {
      const args = { transport, ...rates, count, holder };
      const { wait_ms, shared } = (await database.rpc("reserve_slots", args, claims, {
        lockTimeoutMs,
      })) as Reserved;
      return wait_ms.map((waitMs) => ({ waitMs, isShared: shared }));
    },
  });
  return { reserve: () => commits.add(null) };
}
