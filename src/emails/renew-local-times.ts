import type { Parsed } from "../email/parsed.ts";
import { type ResolvedWallClock, resolveWallClock, type WallClock } from "../email/wall-clock.ts";
import { isNewerZoneData, zoneData } from "../email/zone-data.ts";
import type { Logger } from "../log.ts";
import { endedWithin } from "../runtime/abortable.ts";
import { repeatSteadily } from "../runtime/repeat-steadily.ts";
import type { WaitingWallClock, WallClocks } from "../store/wall-clocks.ts";
import type { Revoking } from "./revoking-cancel.ts";

export interface RenewDeps {
  wallClocks: WallClocks;
  /** So that emails whose claims are revoked leave this process's memory. */
  revoking: Revoking;
  log: Logger;
  /** Version of the zone data that `resolve` goes by. Default: that of this program. */
  version?: () => string;
  resolve?: (wish: WallClock) => Parsed<ResolvedWallClock>;
}

/** What one round came to. */
export interface RenewedLocalTimes {
  /** Emails whose local time was resolved anew. */
  looked: number;
  /** Of them, rescheduled. */
  moved: number;
  /** Due at another time now, and left at theirs: refused by `dst`, or after `expires_at`. */
  kept: number;
}

/** Keeps what emails wait for at the local time that was asked for, whatever becomes of zones. */
export interface LocalTimes {
  start(): void;
  /** One round. Rejects with what the database throws; what is done by then stays done. */
  renew(): Promise<RenewedLocalTimes>;
  /** Never rejects. */
  stop(timeoutMs: number): Promise<void>;
}

/** A call answers within a second; the next batch lets others write in between. */
const batch = 200;
/**
 * This program's zone data never change while it runs; processes of an earlier release, which are
 * replaced one by one, go on accepting by theirs.
 */
const everyMs = 600_000;
const idsShownMax = 10;

export function createLocalTimes(deps: RenewDeps): LocalTimes {
  const { wallClocks, revoking, log, resolve = resolveWallClock } = deps;
  const version = deps.version ?? (() => zoneData().version);
  const stopping = new AbortController();
  let isFirst = true;
  let loop: Promise<void> = Promise.resolve();

  async function renew(): Promise<RenewedLocalTimes> {
    const used = await wallClocks.zoneData();
    // Reading our own takes 43 ms, and few servers have emails that wait for a local time.
    const ours = used.length === 0 ? "" : version();
    const stale = used.filter((one) => isStale(one, ours, isFirst));
    const moved: string[] = [];
    const kept: string[] = [];
    let looked = 0;
    while (stale.length > 0 && !stopping.signal.aborted) {
      const page = await wallClocks.stale(stale, batch);
      if (page.length === 0) break;
      const revoke = revoking(page.map(({ id }) => id));
      const done = await wallClocks.move(ours, page.map(renewed));
      revoke(done.moved);
      moved.push(...done.moved);
      kept.push(...done.kept);
      looked += done.seen;
    }
    isFirst = false;
    tell(ours, { looked, moved, kept });
    return { looked, moved: moved.length, kept: kept.length };
  }

  function renewed({ id, version: read, wallClock }: WaitingWallClock) {
    const resolved = resolve(wallClock);
    return { id, version: read, wallClock: "value" in resolved ? resolved.value : null };
  }

  function tell(ours: string, found: { looked: number; moved: string[]; kept: string[] }): void {
    const { looked, moved, kept } = found;
    if (looked === 0) return;
    const counts = { version: ours, matched: looked, count: moved.length };
    log.info("local times resolved by this zone data; so many emails rescheduled", counts);
    for (const id of kept.slice(0, idsShownMax)) {
      log.warn("an email keeps an instant that its local time does not mean any more", {
        email_id: id,
        count: kept.length,
        reason: "its dst rejects the time, or it would be due after expires_at",
      });
    }
  }

  return {
    start() {
      const step = async () => void (await renew());
      loop = repeatSteadily({
        name: "local times",
        ...{ everyMs, step, log },
        signal: stopping.signal,
      });
    },
    renew,
    async stop(timeoutMs) {
      stopping.abort();
      await endedWithin(loop, timeoutMs, () => undefined);
    },
  };
}

/**
 * Two releases that run side by side must not move an email to and fro: of a later ICU nothing is
 * stale, and of our own only when we start, as after an update of a system whose zones are used.
 */
function isStale(used: string, ours: string, isFirst: boolean): boolean {
  if (used === ours || isNewerZoneData(used, ours)) return false;
  return isFirst || isNewerZoneData(ours, used);
}
