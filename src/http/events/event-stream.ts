import { createBell } from "../../runtime/bell.ts";
import type { SealedEvent } from "../../store/events.ts";

/** One open answer. */
export interface EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly isEnded: boolean;
  /** Resolves at its end, whoever ended it. */
  readonly ended: Promise<void>;
  /** Sends it unless it was sent. */
  send(event: SealedEvent): void;
  /** Keeps it until the stream is live, or sends it. */
  hold(event: SealedEvent): void;
  /** Sends what was held behind `position` and behind all that was sent; from now on all at once. */
  goLive(position: number): void;
  /** Sends a comment when nothing was sent for so long. */
  beat(now: number, everyMs: number): void;
  /** Resolves when the caller has read what was sent, or at the end. */
  drained(): Promise<void>;
  end(): void;
}

/** A caller that is so many events behind gets the rest when it connects again. */
const behindMax = 5_000;

const encoder = new TextEncoder();
/** What a browser waits before it connects again. */
const opening = encoder.encode("retry: 2000\n\n");
const heartbeat = encoder.encode(": heartbeat\n\n");

export function createEventStream({
  frame,
  monotonicMs,
}: {
  frame: (event: SealedEvent) => Uint8Array;
  monotonicMs: () => number;
}): EventStream {
  const ended = Promise.withResolvers<void>();
  const read = createBell();
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  let held: SealedEvent[] | null = [];
  let sentTo = 0;
  let wroteAt = monotonicMs();

  function end(): void {
    const open = controller;
    controller = null;
    held = null;
    read.ring();
    ended.resolve();
    try {
      open?.close();
    } catch {
      // The caller went away first.
    }
  }

  function write(bytes: Uint8Array): void {
    if (!controller) return;
    if ((controller.desiredSize ?? 0) < -behindMax) end();
    wroteAt = monotonicMs();
    controller?.enqueue(bytes);
  }

  function send(event: SealedEvent): void {
    if (event.position <= sentTo) return;
    sentTo = event.position;
    write(frame(event));
  }

  const body = new ReadableStream<Uint8Array>({
    start(own) {
      controller = own;
      own.enqueue(opening);
    },
    pull: () => read.ring(),
    cancel: end,
  });

  return {
    body,
    get isEnded() {
      return controller === null;
    },
    ended: ended.promise,
    send,
    hold(event) {
      if (held === null) return send(event);
      held.push(event);
      if (held.length > behindMax) end();
    },
    goLive(position) {
      sentTo = Math.max(sentTo, position);
      for (const event of held ?? []) send(event);
      held = null;
    },
    beat(now, everyMs) {
      if (now - wroteAt >= everyMs) write(heartbeat);
    },
    async drained() {
      while (controller && (controller.desiredSize ?? 0) <= 0) await read.wait(1_000);
    },
    end,
  };
}
