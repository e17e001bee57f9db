import type { Logger } from "../log.ts";
import { endedWithin } from "../runtime/abortable.ts";
import { createBell } from "../runtime/bell.ts";
import { noFailPoints } from "../runtime/fail-points.ts";
import { repeatSteadily } from "../runtime/repeat-steadily.ts";
import type { ClaimedWebhook } from "../store/webhook-work.ts";
import type { DeliveryOutcome } from "../store/webhooks.ts";
import { openPlace, type Place, type PlaceDeps } from "./place.ts";

export interface DelivererDeps
  extends Omit<PlaceDeps, "takeSlot" | "leaseMs" | "onTried" | "failPoints"> {
  log: Logger;
  /** Default: none. */
  failPoints?: PlaceDeps["failPoints"];
}

/** Delivers events to the endpoints that this process is given. */
export interface Deliverer {
  start(): void;
  /** Something was sealed, here or elsewhere, or an endpoint was changed. Never throws. */
  wake(): void;
  /** Begins nothing more and gives back what it has, within the time. Never rejects. */
  stop(timeoutMs: number): Promise<void>;
  /** How many endpoints are enabled, as of the last look. */
  readonly enabled: number;
  /** How many of them this process has now. */
  readonly held: number;
  /** Tries that ended since the process started, by what they came to. */
  readonly tried: Readonly<Record<DeliveryOutcome, number>>;
}

/** Endpoints of one process at a time; each waits for its own receiver alone. */
const placesMax = 256;
/** Requests under way in a process, and of one owner: one owner's slow receivers keep none from others. */
const requestsMax = 200;
const requestsOfOwnerMax = 40;
/** While mail is sent as fast as this process can, one request is begun in this time, to whomever. */
const busyPauseMs = 50;
const leaseMs = 30_000;
const lookEveryMs = 1_000;

export function createDeliverer(deps: DelivererDeps): Deliverer {
  const { work, log, isBusy, failPoints = noFailPoints } = deps;
  const places = new Map<string, Place>();
  const bell = createBell();
  const stopping = new AbortController();
  const takeSlot = createSlots(isBusy);
  const { tried, onTried } = createTally();
  let enabled = 0;
  let loop: Promise<unknown> | null = null;

  function open(webhook: ClaimedWebhook): void {
    const place = openPlace(webhook, { ...deps, takeSlot, leaseMs, onTried, failPoints });
    places.set(webhook.id, place);
    const ended = place.ended.catch((error: unknown) => {
      // Another process is given it once the lease is over.
      log.error("delivering to a webhook broke off", { component: "webhooks", err: error });
    });
    void ended.then(() => {
      places.delete(webhook.id);
      bell.ring();
    });
  }

  async function look(): Promise<void> {
    const room = placesMax - places.size;
    if (room > 0) {
      const claimed = await work.claim(room, leaseMs);
      if (claimed.webhooks.length > 0) await failPoints("endpoint.after");
      enabled = claimed.enabled;
      for (const webhook of claimed.webhooks) open(webhook);
    }
    if (!stopping.signal.aborted) await bell.wait(lookEveryMs);
  }

  return {
    start() {
      const { signal } = stopping;
      loop ??= repeatSteadily({ name: "webhooks", everyMs: 0, step: look, log, signal });
    },
    wake() {
      if (enabled === 0) return;
      for (const place of places.values()) place.wake();
      // The look once a second finds an endpoint as well; a burst seals many times a second.
      if (!isBusy()) bell.ring();
    },
    async stop(timeoutMs) {
      stopping.abort();
      bell.ring();
      for (const place of places.values()) place.stop();
      const all = Promise.all([loop, ...[...places.values()].map(({ ended }) => ended)]);
      await endedWithin(all, timeoutMs, () => undefined);
    },
    get enabled() {
      return enabled;
    },
    get held() {
      return places.size;
    },
    tried,
  };
}

function createTally() {
  const tried: Record<DeliveryOutcome, number> = { pending: 0, delivered: 0, failed: 0 };
  return {
    tried,
    onTried(outcome: DeliveryOutcome): void {
      tried[outcome] += 1;
    },
  };
}

function createSlots(isBusy: () => boolean): PlaceDeps["takeSlot"] {
  const byOwner = new Map<string, number>();
  let taken = 0;
  let takenAt = Number.NEGATIVE_INFINITY;
  return (ownerId) => {
    const own = byOwner.get(ownerId) ?? 0;
    if (taken >= requestsMax || own >= requestsOfOwnerMax) return null;
    if (isBusy() && performance.now() - takenAt < busyPauseMs) return null;
    taken += 1;
    takenAt = performance.now();
    byOwner.set(ownerId, own + 1);
    return () => {
      taken -= 1;
      const left = (byOwner.get(ownerId) ?? 1) - 1;
      if (left === 0) byOwner.delete(ownerId);
      else byOwner.set(ownerId, left);
    };
  };
}
