import type { KeyRing } from "../crypto/key-ring.ts";
import { createBell } from "../runtime/bell.ts";
import type { FailPoints } from "../runtime/fail-points.ts";
import type { Events } from "../store/events.ts";
import type { ClaimedWebhook, WebhookWork } from "../store/webhook-work.ts";
import type { DeliveryOutcome } from "../store/webhooks.ts";
import { createEndpointQueue, type Job, lookEveryMs } from "./endpoint-queue.ts";
import { createEndpointRecord, type EndpointRecord, flushAfterMs } from "./endpoint-record.ts";
import { bodyOf } from "./messages.ts";
import { holdFromFailures, type WaitOptions } from "./retry-waits.ts";
import type { Sent } from "./send.ts";
import { createSigner, type Signer } from "./sign.ts";

export interface PlaceDeps {
  work: WebhookWork;
  events: Events;
  keyRing: KeyRing;
  send: (request: { url: string; sign: Signer; id: string; body: string }) => Promise<Sent>;
  /** One of the process's places for a request; null: none is free for this owner now. */
  takeSlot: (ownerId: string) => (() => void) | null;
  /** Mail comes first: what came of requests is written less often meanwhile. */
  isBusy: () => boolean;
  /** Told of every try once it has ended. */
  onTried: (outcome: DeliveryOutcome) => void;
  failPoints: FailPoints;
  waits: WaitOptions;
  leaseMs: number;
}

/** One endpoint that this process delivers to. */
export interface Place {
  /** There may be something new. */
  wake(): void;
  /** Begins nothing more and gives the endpoint back. */
  stop(): void;
  /** Resolves when it has been given back, or lost. Rejects as the database does. */
  ended: Promise<void>;
}

const atOnceMax = 10;
/** An endpoint is kept for a moment: the next event then costs no claim. */
const lingerMs = 1_000;
/** How soon it looks again for a place that was not free. */
const slotWaitMs = 100;

/**
 * Delivers to one endpoint, in the order of the journal, at most ten at once, until nothing is left
 * for a second. The cursor moves behind what was begun and recorded; after a crash the next holder
 * begins there, and sends again, under the same id, what has no row.
 */
export function openPlace(webhook: ClaimedWebhook, deps: PlaceDeps): Place {
  const bell = createBell();
  let isStopping = false;
  const run = createRun(webhook, deps, bell.ring);

  async function deliver(): Promise<void> {
    let quietSince = performance.now();
    while (!isStopping && !run.isOver()) {
      await run.refill();
      run.begin();
      await run.flush();
      if (!run.isIdle()) quietSince = performance.now();
      else if (performance.now() - quietSince >= lingerMs) break;
      await bell.wait(run.waitMs());
    }
    await run.finish();
  }

  return {
    wake() {
      run.lookAgain();
      bell.ring();
    },
    stop() {
      isStopping = true;
      bell.ring();
    },
    ended: deliver(),
  };
}

function createRun(webhook: ClaimedWebhook, deps: PlaceDeps, changed: () => void) {
  const { keyRing } = deps;
  const { sign, encrypt } = keysOf(webhook, keyRing);
  const queue = createEndpointQueue(webhook, deps);
  const record = createEndpointRecord(webhook, { ...deps, encrypt });
  const open = new Map<string, Job>();
  /** After too many failures one event alone shows whether anybody is there again. */
  const isProbing = webhook.failures >= holdFromFailures;
  let begun = 0;
  let isEnding = false;

  const cursor = () => queue.cursor(open.values());
  const isKnown = (id: string) => open.has(id) || record.has(id);
  const isOver = (): boolean =>
    record.isLost ||
    record.isChanged ||
    record.isGone ||
    (isProbing ? begun > 0 : record.failures >= holdFromFailures);
  const mayBegin = (): boolean =>
    queue.size > 0 &&
    // The more failed in a row, the fewer are risked: ten in all before it is left alone.
    open.size < Math.max(1, atOnceMax - record.failures) &&
    !record.isStalled &&
    !isEnding &&
    !isOver();

  async function attempt(job: Job, giveBack: () => void): Promise<void> {
    deps.onTried(record.note(job, await tryOnce(deps, webhook.url, sign, job)));
    open.delete(job.id);
    giveBack();
    // At once, and not when what is being written or read has come back: that would wait for it.
    begin();
    changed();
  }

  function begin(): void {
    while (mayBegin()) {
      const giveBack = deps.takeSlot(webhook.ownerId);
      const job = giveBack && queue.next();
      if (!giveBack || !job) return;
      open.set(job.id, job);
      begun += 1;
      void attempt(job, giveBack);
    }
  }

  return {
    begin,
    isOver,
    isIdle: () => queue.isAtEnd && queue.size + open.size + record.size === 0,
    lookAgain: queue.lookAgain,
    refill: async () => (record.isStalled ? undefined : await queue.refill(isKnown)),
    flush: () => record.flush(cursor),
    waitMs: () => waitMs(record, queue.size),
    /** Waits for what is under way, and gives the endpoint back. */
    async finish() {
      isEnding = true;
      while (open.size > 0) {
        await Bun.sleep(flushAfterMs);
        await record.flush(cursor);
      }
      await record.giveBack(cursor);
    },
  };
}

/** Until there is something to write, to begin or to look for. */
function waitMs({ isStalled, size }: EndpointRecord, queued: number): number {
  if (isStalled) return lookEveryMs;
  if (size > 0) return flushAfterMs;
  return queued > 0 ? slotWaitMs : lookEveryMs;
}

function keysOf({ wrappedKey, id, ownerId, secrets }: ClaimedWebhook, keyRing: KeyRing) {
  const dataKey = keyRing.openDataKey(wrappedKey, id, ownerId);
  return {
    sign: createSigner(secrets.map((secret) => dataKey.decryptText(secret, "secret"))),
    encrypt: (answer: string) => dataKey.encryptText(answer, "answer"),
  };
}

/** A fault of ours is tried again like one of the receiver's, and does not end the process. */
async function tryOnce(
  { keyRing, send, failPoints }: PlaceDeps,
  url: string,
  sign: Signer,
  job: Job,
): Promise<Sent> {
  try {
    await failPoints("post.before");
    const sent = await send({ url, sign, id: job.id, body: bodyOf(job, keyRing) });
    await failPoints("post.after");
    return sent;
  } catch (error) {
    return brokenOff(error);
  }
}

function brokenOff(error: unknown): Sent {
  return {
    ...{ isSuccess: false, isGone: false, statusCode: null, answer: null, retryAfterMs: null },
    error: `The try broke off: ${error instanceof Error ? error.name : "no error"}.`,
    durationMs: 0,
  };
}
