import type { Child } from "hono/jsx";
import { hasEnded } from "../../../email/states.ts";
import type { StoredEvent } from "../../../store/events.ts";
import type { StoredAttempt } from "../../../store/stored-email.ts";
import type { Frame } from "../frame.tsx";
import { StateMark } from "../icons.tsx";
import { When } from "../when.tsx";
import { absoluteWords, type ShownState, shownDuration, shownStateOf } from "../words.ts";
import type { OpenedEmail } from "./open-email.ts";
import { replyWords } from "./row.tsx";

interface LifeProps {
  opened: OpenedEmail;
  frame: Frame;
}

const outcomeStates: Record<StoredAttempt["outcome"], ShownState> = {
  sent: "sent",
  partial: "partially_sent",
  deferred: "deferred",
  bounced: "failed",
  uncertain: "uncertain",
};

const outcomeWords: Record<StoredAttempt["outcome"], string> = {
  sent: "sent",
  partial: "sent to some",
  deferred: "deferred",
  bounced: "refused",
  uncertain: "outcome unknown",
};

/** What the attempts tell already, or what is of no interest here: the journal below has all. */
const untold = new Set([
  ...["email.sending", "email.sent", "email.deferred", "email.bounced", "email.uncertain"],
  ...["email.failed", "claim.returned"],
]);

/** From *accepted* to its end, as a line: what was done to it, and each attempt. */
export function Life({ opened, frame }: LifeProps) {
  const { email, decrypted, events } = opened;
  const told = events.filter(({ action }) => !untold.has(action));
  const nodes = [
    ...told.map((event) => ({
      order: orderOf(event),
      node: <EventNode event={event} frame={frame} />,
    })),
    ...decrypted.attempts.map((attempt) => ({
      order: attempt.startedAt.getTime(),
      node: <AttemptNode attempt={attempt} frame={frame} />,
    })),
  ].toSorted((a, b) => a.order - b.order);
  return (
    <section class="card life" aria-labelledby="life">
      <h2 id="life">Its life</h2>
      <ol>
        {nodes.map(({ node }) => node)}
        {!hasEnded(email.status) && <NextNode opened={opened} frame={frame} />}
      </ol>
    </section>
  );
}

/** Attempts are timed by the clock of the process that made them: acceptance comes first anyway. */
function orderOf({ action, at }: StoredEvent): number {
  return action === "email.scheduled" ? 0 : at.getTime();
}

function Node({ state, title, children }: { state: ShownState; title: Child; children?: Child }) {
  return (
    <li>
      <StateMark state={state} />
      <div>
        <p class="title">{title}</p>
        {children}
      </div>
    </li>
  );
}

function AttemptNode({ attempt, frame }: { attempt: StoredAttempt; frame: Frame }) {
  const { number, outcome, startedAt, endedAt, transport, region } = attempt;
  const took = shownDuration(endedAt.getTime() - startedAt.getTime());
  return (
    <Node
      state={outcomeStates[outcome]}
      title={
        <>
          Attempt {number}: {outcomeWords[outcome]} <span class="quiet">in {took}</span>
        </>
      }
    >
      <p class="reply short" title={replyWords(attempt)}>
        {replyWords(attempt)}
      </p>
      <details class="more-of">
        <summary>
          <When at={startedAt} frame={frame} />
        </summary>
        <p class="reply">{replyWords(attempt)}</p>
        <dl class="facts">
          <dt>Began</dt>
          <dd>{startedAt.toISOString()}</dd>
          <dt>Ended</dt>
          <dd>{endedAt.toISOString()}</dd>
          <dt>Through</dt>
          <dd>{transport}</dd>
          <dt>From</dt>
          <dd>region {region}</dd>
        </dl>
      </details>
    </Node>
  );
}

const eventTitles: Record<string, { state: ShownState; words: string }> = {
  "email.scheduled": { state: "pending", words: "Accepted" },
  "email.updated": { state: "pending", words: "Edited" },
  "email.rescheduled": { state: "pending", words: "Rescheduled" },
  "email.held": { state: "held", words: "Held" },
  "email.released": { state: "pending", words: "Released" },
  "email.replayed": { state: "pending", words: "Replayed" },
  "email.dismissed": { state: "failed", words: "Dismissed" },
  "email.cancelled": { state: "cancelled", words: "Cancelled" },
  "email.expired": { state: "expired", words: "Expired" },
  "email.suppressed": { state: "suppressed", words: "Suppressed" },
  "email.shredded": { state: "cancelled", words: "Content destroyed" },
};

function EventNode({ event, frame }: { event: StoredEvent; frame: Frame }) {
  const { at, actor, action, detail } = event;
  const { state, words } = eventTitles[action] ?? { state: "pending", words: action };
  return (
    <Node
      state={state}
      title={
        <>
          {words} <span class="quiet">by {actor}</span>
        </>
      }
    >
      <p class="quiet">{detailWords(detail, frame)}</p>
      <p class="quiet">
        <When at={at} frame={frame} />
      </p>
    </Node>
  );
}

/** Names the fields that were changed, and the new time. */
function detailWords(detail: Record<string, unknown>, frame: Frame): string {
  const { fields, scheduled_at: scheduledAt, reason } = detail;
  const names = Array.isArray(fields) ? fields.map(String).join(", ") : "";
  const time =
    typeof scheduledAt === "string" ? `due ${absoluteWords(new Date(scheduledAt), frame)}` : "";
  const why = typeof reason === "string" ? reason.replaceAll("_", " ") : "";
  return [names, time, why].filter((part) => part !== "").join(" · ");
}

function NextNode({ opened: { email }, frame }: LifeProps) {
  const at = email.nextAttemptAt ?? email.scheduledAt;
  const state = shownStateOf(email);
  return (
    <li class="next">
      <StateMark state={state} />
      <div>
        <p class="title">
          {state === "sending" ? "Being sent" : `Attempt ${email.attemptsSpent + 1}`}
        </p>
        {state !== "sending" && (
          <p>
            <When at={at} frame={frame} />
          </p>
        )}
      </div>
    </li>
  );
}
