import type { Child } from "hono/jsx";
import { deadLetterStates, hasEnded } from "../../../email/states.ts";
import type { Frame } from "../frame.tsx";
import { localOf } from "../local-time.ts";
import type { OpenedEmail } from "./open-email.ts";
import { emailPath } from "./row.tsx";

interface ActionsProps {
  opened: OpenedEmail;
  frame: Frame;
}

/** What may be done to it in its state; the dangerous one last, and asked for. */
export function Actions({ opened, frame }: ActionsProps) {
  const { email } = opened;
  const { status } = email;
  const path = emailPath(email.id);
  const isWaiting = status === "pending" || status === "held";
  const isDead = deadLetterStates.some((state) => state === status);
  return (
    <fieldset class="actions" aria-label="What to do with this email">
      {status === "pending" && <Ask path={`${path}/send-now`} verb="Send now" {...sendNow} />}
      {status === "held" && <Act path={`${path}/release`} verb="Release" isPrimary />}
      {isWaiting && <Reschedule path={path} opened={opened} frame={frame} />}
      {status === "pending" && <Act path={`${path}/hold`} verb="Hold" />}
      {isWaiting && (
        <a class="button" href={`${path}/edit`}>
          Edit
        </a>
      )}
      {isDead && status !== "held" && (
        <Ask path={`${path}/replay`} verb="Replay" {...replayOf(status)} />
      )}
      {isDead && status !== "held" && email.wrappedKey !== null && (
        <a class="button" href={`${path}/edit?replay=true`}>
          Edit and replay
        </a>
      )}
      {isDead && email.dismissedAt === null && <Dismiss path={path} />}
      {email.wrappedKey !== null && (
        <a class="button" href={`/console/compose?copy=${email.id}`}>
          Duplicate
        </a>
      )}
      {(isWaiting || status === "sending") && (
        <Ask path={`${path}/cancel`} verb="Cancel" {...cancelling} />
      )}
      {hasEnded(status) && !isDead && email.wrappedKey !== null && (
        <Ask path={`${path}/destroy`} verb="Destroy content" {...destroying} />
      )}
    </fieldset>
  );
}

interface Question {
  question: string;
  consequence: string;
  confirm: string;
  isDangerous?: boolean;
}

const sendNow: Question = {
  question: "Send this email now?",
  consequence: "It goes out at once instead of at its time.",
  confirm: "Send now",
};

const cancelling: Question = {
  question: "Cancel this email?",
  consequence: "It will not be sent. This can't be undone, but you can duplicate it.",
  confirm: "Cancel email",
  isDangerous: true,
};

const destroying: Question = {
  question: "Destroy its content?",
  consequence:
    "Subject, addresses, text and replies can never be read again. What happened to it remains.",
  confirm: "Destroy content",
  isDangerous: true,
};

function replayOf(status: string): Question {
  return {
    question: "Send it again?",
    consequence:
      status === "uncertain"
        ? "It may have been sent already: whoever got it may get it twice."
        : "It goes out now, to the recipients who have not got it.",
    confirm: "Replay",
  };
}

/** Done as the button is pressed: it can be taken back. */
function Act({ path, verb, isPrimary }: { path: string; verb: string; isPrimary?: boolean }) {
  return (
    <form method="post" action={path}>
      <button class={isPrimary ? "primary" : undefined} type="submit">
        {verb}
      </button>
    </form>
  );
}

/** Opens a sheet that says what will happen; works without scripts. */
function Ask({ path, verb, ...asked }: Question & { path: string; verb: string }) {
  return (
    <Sheet verb={`${verb}…`} question={asked.question}>
      <p>{asked.consequence}</p>
      <form method="post" action={path}>
        <button class={asked.isDangerous ? "danger" : "primary"} type="submit">
          {asked.confirm}
        </button>
      </form>
    </Sheet>
  );
}

function Sheet({ verb, question, children }: { verb: string; question: string; children?: Child }) {
  return (
    <details class="menu" name="actions">
      <summary class="button">{verb}</summary>
      <div class="sheet">
        <h2>{question}</h2>
        {children}
      </div>
    </details>
  );
}

function Dismiss({ path }: { path: string }) {
  return (
    <Sheet verb="Dismiss…" question="Leave it as it is?">
      <p>It keeps its state and can be replayed later, but needs no decision any more.</p>
      <form class="fields" method="post" action={`${path}/dismiss`}>
        <label>
          Why (goes into the journal)
          <input name="reason" maxlength={500} />
        </label>
        <button class="primary" type="submit">
          Dismiss
        </button>
      </form>
    </Sheet>
  );
}

function Reschedule({ path, opened: { email }, frame }: ActionsProps & { path: string }) {
  return (
    <Sheet verb="Reschedule…" question="When shall it go?">
      <form class="fields" method="post" action={`${path}/reschedule`}>
        <input type="hidden" name="version" value={String(email.version)} />
        <label>
          Date and time
          <input
            type="datetime-local"
            name="at"
            value={localOf(email.scheduledAt, frame.zone)}
            required
          />
        </label>
        <label>
          Time zone
          <input name="zone" value={frame.zone} list="zones" required />
        </label>
        <p class="quiet" data-resolves>
          {email.scheduledAt.toISOString()}
        </p>
        <button class="primary" type="submit">
          Reschedule
        </button>
      </form>
    </Sheet>
  );
}
