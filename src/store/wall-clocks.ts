import type { ResolvedWallClock, WallClock } from "../email/wall-clock.ts";
import { type Database, partClaims } from "./database.ts";
import { fromWallClock, toWallClock, type WallClockJson } from "./email-json.ts";

/** An email that waits for a local time. */
export interface WaitingWallClock {
  id: string;
  version: number;
  wallClock: WallClock;
}

/** What its local time means by other zone data; null: its owner's rule refuses it. */
export interface RenewedWallClock {
  id: string;
  /** As it was read: an email that was changed since stays as it is. */
  version: number;
  wallClock: ResolvedWallClock | null;
}

/** Local times that emails wait for, and the zone data by which they were resolved. */
export interface WallClocks {
  /** Versions of the zone data in use; "": one that is not known. */
  zoneData(): Promise<string[]>;
  /** Some of those whose local time zone data of these versions resolved. */
  stale(versions: readonly string[], limit: number): Promise<WaitingWallClock[]>;
  /** Reschedules what is due at another time now; the rest is noted as resolved. */
  move(zoneData: string, emails: readonly RenewedWallClock[]): Promise<MovedWallClocks>;
}

export interface MovedWallClocks {
  /** How many had not been changed since they were read. */
  seen: number;
  moved: string[];
  /** Due at another time, and left alone: refused, or after their fixed end. */
  kept: string[];
}

export function createWallClocks(database: Database): WallClocks {
  const claims = partClaims("reconciler");
  return {
    async zoneData() {
      return (await database.rpc("zone_data_in_use", {}, claims)) as string[];
    },
    async stale(versions, limit) {
      const args = { zone_data: versions, limit };
      const rows = (await database.rpc("stale_wall_clocks", args, claims)) as {
        id: string;
        version: number;
        wall_clock: WallClockJson;
      }[];
      return rows.map(({ id, version, wall_clock }) => ({
        id,
        version,
        wallClock: fromWallClock(wall_clock),
      }));
    },
    async move(zoneData, emails) {
      const items = emails.map(({ id, version, wallClock }) => ({
        id,
        version,
        wall_clock: wallClock && toWallClock(wallClock),
      }));
      const answer = await database.rpc(
        "move_wall_clocks",
        { zone_data: zoneData, emails: items },
        claims,
      );
      return answer as MovedWallClocks;
    },
  };
}
