import { partClaims } from "../store/database.ts";
import type { Events } from "../store/events.ts";
import type { ClaimedWebhook, WebhookWork } from "../store/webhook-work.ts";
import { actionsFor, type Message, messagesOf } from "./messages.ts";
import { unlessDown } from "./unless-down.ts";

export interface Job extends Message {
  tries: number;
  /** It has no row yet: the cursor may not move behind it before it has one. */
  isNew: boolean;
}

/** The events that are to be sent to one endpoint, in the order of the journal. */
export interface EndpointQueue {
  readonly size: number;
  /** Nothing more is there, as far as the last look could see. */
  readonly isAtEnd: boolean;
  /** Looks for rows that are due and for new events; `isKnown` says what is under way. */
  refill(isKnown: (id: string) => boolean): Promise<void>;
  next(): Job | undefined;
  /** There may be something new: the next refill looks at once. */
  lookAgain(): void;
  /** The journal's position behind which everything is still to come or in `open`. */
  cursor(open: Iterable<Job>): number;
}

const readAhead = 100;
/** With so many at hand it does not look: less would be gone before an answer is there. */
const enough = 50;
/** How often it looks for what other processes sealed, and for what is due again. */
export const lookEveryMs = 250;
const dueEveryMs = 1_000;
const follower = partClaims("follower");

export function createEndpointQueue(
  webhook: ClaimedWebhook,
  { work, events }: { work: Pick<WebhookWork, "due">; events: Events },
): EndpointQueue {
  const begunBefore = new Set(webhook.known);
  const jobs: Job[] = [];
  let readTo = webhook.cursor;
  let isAtEnd = false;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let dueAt = Number.NEGATIVE_INFINITY;

  async function refillDue(isKnown: (id: string) => boolean): Promise<void> {
    const now = performance.now();
    if (now - dueAt < dueEveryMs) return;
    dueAt = now;
    const rows = await work.due(webhook.id, readAhead);
    // A full page is followed by another as soon as there is room.
    if (rows.length === readAhead) dueAt = Number.NEGATIVE_INFINITY;
    for (const { id, type, tries, event } of rows) {
      if (event === null || isKnown(id) || jobs.some((job) => job.id === id)) continue;
      jobs.push({ id, type, tries, event, isNew: false });
    }
    jobs.sort((one, other) => one.event.position - other.event.position);
  }

  async function refillNew(): Promise<void> {
    const now = performance.now();
    if (isAtEnd && now - lookedAt < lookEveryMs) return;
    lookedAt = now;
    const page = await events.read(
      {
        after: readTo,
        limit: readAhead,
        isNewestFirst: false,
        types: actionsFor(webhook),
        ...(webhook.isGlobal ? {} : { ownerId: webhook.ownerId }),
      },
      follower,
    );
    for (const message of page.events.flatMap((event) => messagesOf(event, webhook))) {
      if (!begunBefore.has(message.id)) jobs.push({ ...message, tries: 0, isNew: true });
    }
    readTo = page.reached;
    isAtEnd = page.isAtEnd;
  }

  return {
    get size() {
      return jobs.length;
    },
    get isAtEnd() {
      return isAtEnd;
    },
    async refill(isKnown) {
      if (jobs.length >= enough) return;
      await unlessDown(refillDue(isKnown));
      await unlessDown(refillNew());
    },
    next: () => jobs.shift(),
    lookAgain() {
      lookedAt = Number.NEGATIVE_INFINITY;
    },
    cursor(open) {
      let least = readTo;
      for (const { isNew, event } of [...jobs, ...open]) {
        if (isNew) least = Math.min(least, event.position - 1);
      }
      return least;
    },
  };
}
