import { adviceFor } from "../../../mail/advice.ts";
import { listPath } from "../emails/list-page.tsx";
import { emailPath } from "../emails/row.tsx";
import { type Frame, FramedPage } from "../frame.tsx";
import { StateMark } from "../icons.tsx";
import { When } from "../when.tsx";
import { counted } from "../words.ts";
import type { DeadGroup } from "./group.tsx";

export interface DeadLettersPageProps {
  frame: Frame;
  groups: readonly DeadGroup[];
  /** Of groups in all. */
  total: number;
  fault?: string | undefined;
}

/** What waits for a person, by what it failed of, and what can be done. */
export function DeadLettersPage({ frame, groups, total, fault }: DeadLettersPageProps) {
  return (
    <FramedPage frame={frame} title="Dead letters" place="dead-letters">
      <div class="heading">
        <div>
          <h1>Dead letters</h1>
          <p class="quiet">
            Emails that need a decision, grouped by what the server said and by domain.
          </p>
        </div>
      </div>
      {fault !== undefined && (
        <p class="flash fault" role="alert">
          {fault}
        </p>
      )}
      {groups.length === 0 ? (
        <div class="card empty" data-live>
          <h2>Nothing needs you</h2>
          <p>An email that fails for good, or whose outcome nobody knows, appears here.</p>
        </div>
      ) : (
        <ul class="dead-groups">
          {groups.map((group) => (
            <Group group={group} frame={frame} />
          ))}
        </ul>
      )}
      {total > groups.length && (
        <p class="quiet">
          The {groups.length} largest of {counted(total, "group")} are shown.
        </p>
      )}
    </FramedPage>
  );
}

function Group({ group, frame }: { group: DeadGroup; frame: Frame }) {
  const { name, count, state, reply, domain, firstAt, lastAt, sampleId } = group;
  return (
    <li class="card dead-group" id={name}>
      <header>
        <h2>
          <StateMark state={state} />
          <span>
            {counted(count, "email")}
            {domain !== null && ` to ${domain}`}
          </span>
        </h2>
        <fieldset class="actions" aria-label="What to do with them">
          <a class="button" href={listPath(`group:${name}`)}>
            Show them
          </a>
          <Replay group={group} />
          <Dismiss group={group} />
        </fieldset>
      </header>
      <p class="reply">{reply}</p>
      <p>{adviceOf(group)}</p>
      <p class="quiet">
        First <When at={firstAt} frame={frame} />, last <When at={lastAt} frame={frame} />.{" "}
        <a href={emailPath(sampleId)}>The newest of them</a>
      </p>
    </li>
  );
}

/** What it means, and what to do. */
function adviceOf({ state, sample }: DeadGroup): string {
  if (state === "held") return "They wait until somebody releases or cancels them.";
  if (state === "uncertain") {
    return "The connection was lost before the server's reply came: they may have been delivered. Ask a recipient before you replay them.";
  }
  const { code = null, enhanced = null, text = "" } = sample ?? {};
  const reply = code === null ? null : { code, enhanced, text };
  return adviceFor({ phase: null, reply, error: reply === null ? text : null, isFinal: true });
}

function Replay({ group: { name, count, state } }: { group: DeadGroup }) {
  return (
    <details class="menu" name="actions">
      <summary class="button">Replay…</summary>
      <div class="sheet">
        <h2>Send {counted(count, "email")} again?</h2>
        <p>
          Each goes to the recipients who have not got it
          {state === "uncertain" ? "; some may get it twice." : "."} To edit one first, open it.
        </p>
        <form class="fields" method="post" action="/console/dead-letters/replay">
          <input type="hidden" name="group" value={name} />
          <label>
            At most so many a minute
            <input
              type="number"
              name="rate"
              min="1"
              max="100000"
              placeholder="as fast as they go"
            />
          </label>
          <button class="primary" type="submit">
            Replay {counted(count, "email")}
          </button>
        </form>
      </div>
    </details>
  );
}

function Dismiss({ group: { name, count } }: { group: DeadGroup }) {
  return (
    <details class="menu" name="actions">
      <summary class="button">Dismiss…</summary>
      <div class="sheet">
        <h2>Leave {counted(count, "email")} as they are?</h2>
        <p>They keep their state and can be replayed later, but need no decision any more.</p>
        <form class="fields" method="post" action="/console/dead-letters/dismiss">
          <input type="hidden" name="group" value={name} />
          <label>
            Why (goes into the journal)
            <input name="reason" maxlength={500} />
          </label>
          <button class="primary" type="submit">
            Dismiss {counted(count, "email")}
          </button>
        </form>
      </div>
    </details>
  );
}
