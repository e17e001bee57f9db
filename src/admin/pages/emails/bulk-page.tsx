import type { Frame } from "../frame.tsx";
import { FramedPage } from "../frame.tsx";
import { counted } from "../words.ts";
import type { BulkTime } from "./bulk-time.ts";
import { type BulkVerb, verbWords } from "./bulk-verbs.ts";
import { listPath } from "./list-page.tsx";

export interface BulkPageProps {
  frame: Frame;
  verb: BulkVerb;
  /** All that match the text, and not a selection. */
  isAll: boolean;
  /** Of the search box, to come back to it. */
  text: string;
  ids: readonly string[];
  /** How many of them it can be done to. */
  matched: number;
  /** As it was typed; for `reschedule`. */
  time: BulkTime;
  fault?: string | undefined;
}

/** Says what would be done to how many, and asks. */
export function BulkPage(props: BulkPageProps) {
  const { frame, verb, isAll, text, ids, matched, fault } = props;
  const what = `${verbWords[verb]} ${counted(matched, "email")}`;
  const others = ids.length - matched;
  const question = matched === 0 ? `Nothing to ${verb}` : `${what}?`;
  return (
    <FramedPage frame={frame} title={question} place="emails">
      <section class="card notice">
        <h1>{question}</h1>
        {fault !== undefined && (
          <p class="flash fault" role="alert">
            {fault}
          </p>
        )}
        {isAll && (
          <p>
            {matched === 0 ? "None of those that match " : "Of all that match "}
            <code>{text}</code>
            {matched === 0 && ` is in a state for it.`}
            {matched > 0 && (isOfEveryone(frame, text) ? ", whoever owns them." : ".")}
          </p>
        )}
        {!isAll && others > 0 && <p>{othersWords[verb](others, ids.length)}</p>}
        {matched > 0 && <p>{consequences[verb]}</p>}
        <form class="decide" method="post" action="/console/emails/bulk">
          <input type="hidden" name="action" value={isAll ? `${verb}-all` : verb} />
          <input type="hidden" name="confirmed" value="true" />
          <input type="hidden" name="q" value={text} />
          {ids.map((id) => (
            <input type="hidden" name="id" value={id} />
          ))}
          {verb === "reschedule" && matched > 0 && <TimeFields {...props.time} />}
          {matched > 0 && (
            <button class={verb === "cancel" ? "danger" : "primary"} type="submit">
              {what}
            </button>
          )}
          <a class="button" href={listPath(text)}>
            Back
          </a>
        </form>
      </section>
    </FramedPage>
  );
}

function isOfEveryone({ principal }: Frame, text: string): boolean {
  return principal.isAdmin && !/(^|\s)owner:/.test(text);
}

const consequences: Record<BulkVerb, string> = {
  hold: "They wait until somebody releases them. It can be undone right after.",
  release:
    "Each goes out at its own time, or now when that has passed. Those that have not gone out by then can be held again right after.",
  reschedule:
    "Moved by a length of time, each keeps its distance from the others, and it can be undone right after; moved to one moment it can't. An email that would be due in the past stays as it is.",
  replay: "Each is sent again now, to the recipients who have not got it.",
  cancel: "They will not be sent. This can't be undone, but each can be duplicated.",
};

const ofSelected = (others: number, all: number) =>
  `Of the ${all.toLocaleString("en-GB")} selected, ${others.toLocaleString("en-GB")}`;
const notWaiting = (others: number, all: number) =>
  `${ofSelected(others, all)} ${others === 1 ? "has" : "have"} been sent, or ended before.`;

/** Why the number is smaller than that of the selection. */
const othersWords: Record<BulkVerb, (others: number, all: number) => string> = {
  hold: (others, all) =>
    `${ofSelected(others, all)} ${others === 1 ? "does" : "do"} not wait to be sent.`,
  release: (others, all) => `${ofSelected(others, all)} ${others === 1 ? "is" : "are"} not held.`,
  reschedule: notWaiting,
  replay: (others, all) =>
    `${ofSelected(others, all)} ${others === 1 ? "is no dead letter" : "are no dead letters"}.`,
  cancel: notWaiting,
};

const units = ["minutes", "hours", "days"] as const;

/** Without scripts both are there, and the chosen one counts. */
function TimeFields({ how, amount, unit, direction, at, zone }: BulkTime) {
  return (
    <fieldset class="bulk-time">
      <legend class="unseen">When they go out</legend>
      <label class="tick">
        <input type="radio" name="how" value="by" checked={how === "by"} />
        Each by a length of time
      </label>
      <div class="by">
        <label>
          <span class="unseen">How much</span>
          <input type="number" name="amount" value={amount} min="1" max="100000" />
        </label>
        <label>
          <span class="unseen">Unit</span>
          <select name="unit">
            {units.map((name) => (
              <option value={name} selected={name === unit}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span class="unseen">Later or earlier</span>
          <select name="direction">
            {(["later", "earlier"] as const).map((name) => (
              <option value={name} selected={name === direction}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      <label class="tick">
        <input type="radio" name="how" value="to" checked={how === "to"} />
        All to one moment
      </label>
      <div class="to">
        <label>
          <span class="unseen">Date and time</span>
          <input type="datetime-local" name="at" value={at} />
        </label>
        <label>
          <span class="unseen">Time zone</span>
          <input name="zone" value={zone} list="zones" />
        </label>
      </div>
    </fieldset>
  );
}
