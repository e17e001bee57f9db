import { type Database, partClaims } from "./database.ts";
import { createGroupCommit } from "./group-commit.ts";

/** The limit that all processes and regions on this database share. */
export interface TransportSlots {
  /**
   * Takes the next slot: milliseconds until a message may be handed over. Slots are spaced
   * evenly by the database's clock; one that is not used is lost.
   */
  reserve(): Promise<number>;
}

export interface TransportSlotsOptions {
  region: string;
  /** Who shares the name shares the limit. */
  transport: string;
  ratePerSecond: number;
}

export function createTransportSlots(
  database: Database,
  { region, transport, ratePerSecond }: TransportSlotsOptions,
): TransportSlots {
  const claims = partClaims("worker", region);
  const commits = createGroupCommit<null, number>({
    send: async ({ length: count }) => {
      const args = { transport, rate_per_second: ratePerSecond, count };
      const answer = await database.rpc("reserve_slots", args, claims);
      return (answer as { wait_ms: number[] }).wait_ms;
    },
  });
  return { reserve: () => commits.add(null) };
}
