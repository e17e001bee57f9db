import type { Config } from "../config.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { quoteInput } from "../email/quote-input.ts";
import type { Logger } from "../log.ts";
import { createOutgoing, type Outgoing } from "../outgoing/create-outgoing.ts";
import { OutgoingError } from "../outgoing/outgoing-error.ts";
import type { QueueBackend } from "../queue/queue-backend.ts";
import { within } from "../runtime/abortable.ts";
import { createCpuScarcity } from "../runtime/cpu-scarcity.ts";
import type { FailPoints } from "../runtime/fail-points.ts";
import { type Database, partClaims } from "../store/database.ts";
import type { Events } from "../store/events.ts";
import { createWebhookWork } from "../store/webhook-work.ts";
import { createWebhooks } from "../store/webhooks.ts";
import { version } from "../version.ts";
import { createDeliverer } from "../webhooks/deliverer.ts";
import { createEndpoints } from "../webhooks/endpoints.ts";
import { send } from "../webhooks/send.ts";
import type { Signer } from "../webhooks/sign.ts";

export interface WebhookDeps {
  database: Database;
  events: Events;
  keyRing: KeyRing;
  backend: QueueBackend;
  delivery: Pick<Delivery, "active">;
  workerId: string;
  newId: () => string;
  now: () => Date;
  onSealed: (listener: () => void) => () => void;
  failPoints: FailPoints;
  log: Logger;
}

/** The queue that wakes a process which delivers, as Bull Board names it. */
/** The queue that wakes whoever delivers, as Bull Board names it. */
export const webhookQueueName = "webhooks";
/**
 * With this many emails under way, and computing time short, mail goes out as fast as it can, and
 * deliveries of events stand back. A slow next hop with many under way leaves room for them.
 */
const busyFrom = 24;
const wakeTimeoutMs = 5_000;
const judgeDeadlineMs = 2_000;
const wakeJob = { attempts: 1, removeOnFail: true, removeOnComplete: { age: 3_600, count: 100 } };

export type WebhookParts = ReturnType<typeof createWebhookParts>;

/** Endpoints of callers, and the part that delivers to them; connected but not running. */
export function createWebhookParts(config: Config, deps: WebhookDeps) {
  const { database, events, keyRing, backend, newId, now, log, failPoints } = deps;
  const outgoing = createOutgoing({ allowPrivate: config.webhooks.allowPrivate });
  const userAgent = `Taskforce-Mailer/${version}`;
  const sending = (request: { url: string; sign: Signer; id: string; body: string }) =>
    send({ outgoing, now, userAgent }, request);
  const webhooks = createWebhooks(database);
  const isBusy = createBusySignal(deps.delivery);
  let ownPort = config.http.port;
  const deliverer = createDeliverer({
    ...{ events, keyRing, log, send: sending, isBusy, failPoints },
    work: createWebhookWork(database, deps),
    waits: { minuteMs: config.retryBaseMs, random: Math.random },
  });
  const status = createWebhookStatus(database);
  const wakeOthers = config.role === "api" ? createWake(backend) : null;
  const wake = (): void => {
    if (wakeOthers === null) deliverer.wake();
    else if (status.last.enabled > 0) wakeOthers();
  };
  deps.onSealed(wake);
  const endpoints = createEndpoints({ webhooks, events, keyRing, newId, now, send: sending, wake });
  return {
    ...{ webhooks, endpoints, deliverer, webhookStatus: status },
    judgeUrl: (url: string) => judgeUrl(outgoing, config, ownPort, url),
    /** With PORT=0 the port is known only then. */
    listensAt(port: number): void {
      ownPort = port;
    },
    /** Somebody has an endpoint, as of a few seconds ago, and deliveries do not stand back now. */
    isAwaited: () => Math.max(status.last.enabled, deliverer.enabled) > 0 && !isBusy(),
    startDeliverer() {
      deliverer.start();
      if (!backend.isShared) return;
      backend.createWorker(webhookQueueName, async () => deliverer.wake(), { concurrency: 1 });
    },
  };
}

function createBusySignal(delivery: Pick<Delivery, "active">): () => boolean {
  const isCpuScarce = createCpuScarcity();
  return () => delivery.active >= busyFrom && isCpuScarce();
}

export interface WebhookStatus {
  enabled: number;
  failing: number;
  /** By 410, or because nothing succeeded in five days. */
  disabled: number;
}

function createWebhookStatus(database: Database) {
  const claims = partClaims("webhooks");
  const status = { last: { enabled: 0, failing: 0, disabled: 0 } as WebhookStatus };
  return {
    get last() {
      return status.last;
    },
    async look(): Promise<void> {
      status.last = (await database.rpc("webhook_status", {}, claims)) as WebhookStatus;
    },
  };
}

/** One job at most is under way; a queue that is down is not waited for. */
function createWake(backend: QueueBackend): () => void {
  const queue = backend.isShared ? backend.createQueue(webhookQueueName) : null;
  let isWaking = false;
  return () => {
    if (queue === null || isWaking) return;
    isWaking = true;
    // Lost: every process that delivers looks once a second.
    void within(queue.add("sealed", {}, wakeJob), wakeTimeoutMs)
      .catch(() => null)
      .finally(() => {
        isWaking = false;
      });
  };
}

async function judgeUrl(
  outgoing: Outgoing,
  { http, webhooks }: Config,
  ownPort: number,
  text: string,
): Promise<string | null> {
  if (!URL.canParse(text)) {
    return `expected a URL that starts with https://, got ${quoteInput(text)}`;
  }
  if (isOwn(http, ownPort, text))
    return "expected a URL of a receiver, got one of this service itself";
  try {
    await outgoing.judge(text, judgeDeadlineMs);
    return null;
  } catch (error) {
    if (!(error instanceof OutgoingError)) throw error;
    const advice = webhooks.allowPrivate
      ? ""
      : " A private address is open when WEBHOOK_ALLOW_PRIVATE=true.";
    return `expected a URL that may be called: ${error.message}${advice}`;
  }
}

/** It would tell itself of what it tells. */
function isOwn({ publicUrl }: Config["http"], ownPort: number, text: string): boolean {
  const url = new URL(text);
  if (publicUrl !== null && url.origin === new URL(publicUrl).origin) return true;
  const isHere = /^(localhost|127(\.\d+){3}|0\.0\.0\.0|\[::1?\])$/.test(url.hostname);
  return isHere && Number(url.port || 80) === ownPort;
}
