import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import {
  type BulkProgress,
  cancelInBulk,
  changeInBulk,
  replayInBulk,
} from "../../../emails/bulk.ts";
import type { WantedChange } from "../../../store/bulk-change.ts";
import type { DeadLetterFilter } from "../../../store/dead-letters.ts";
import { sendPage } from "../../page-response.ts";
import type { Visit } from "../door.tsx";
import { faultOf } from "../fault.ts";
import { redirectWith, type Undo } from "../flash.ts";
import type { PagesDeps } from "../pages-deps.ts";
import { counted } from "../words.ts";
import { BulkPage } from "./bulk-page.tsx";
import { type BulkTime, bulkTimeOf, rescheduleOf } from "./bulk-time.ts";
import { type BulkVerb, bulkFilterOf, bulkVerbs, verbsForAll } from "./bulk-verbs.ts";
import { listPath } from "./list-page.tsx";
import { readSearch } from "./search.ts";
import { mountUndo } from "./undo-routes.ts";

const formBytesMax = 64 * 1024;
/** A page of the list. */
const idsMax = 100;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

interface Asked {
  verb: BulkVerb;
  isAll: boolean;
  text: string;
  ids: string[];
  filter: DeadLetterFilter;
  time: BulkTime;
  visit: Visit;
}

/** The same for a selection or a whole filter: first a page that says what would be done. */
export function mountBulk(app: Hono, deps: PagesDeps): void {
  app.post("/console/emails/bulk", bodyLimit({ maxSize: formBytesMax }), async (c) => {
    const visit = await deps.door.act(c);
    if (visit instanceof Response) return visit;
    const form = await c.req.parseBody({ all: true });
    const asked = askedOf(form, visit, deps);
    if (asked === null) return c.redirect(listPath(String(form.q ?? "")), 303);
    if (asked.ids.length === 0 && !asked.isAll) {
      return redirectWith(c, listPath(asked.text), "Nothing was selected, so nothing was done.");
    }
    if (form.confirmed !== "true") return await ask(c, asked, deps);
    try {
      return await act(c, asked, deps);
    } catch (error) {
      return await ask(c, asked, deps, faultOf(error));
    }
  });
  mountUndo(app, deps);
}

/** null: a form of ours offers nothing of the kind. */
function askedOf(
  form: Record<string, unknown>,
  visit: Visit,
  { keyRing }: PagesDeps,
): Asked | null {
  const { zone } = visit.frame;
  const [name, ...rest] = String(form.action).split("-");
  const verb = bulkVerbs.find((one) => one === name);
  const isAll = rest[0] === "all";
  const text = String(form.q ?? "");
  const ids = [form.id ?? []]
    .flat()
    .map(String)
    .filter((id) => uuid.test(id))
    .slice(0, idsMax);
  const search = readSearch(text, { zone, blindIndexes: keyRing.blindIndexes });
  const filter = isAll ? bulkFilterOf(search) : { ids, isWithDismissed: true };
  if (verb === undefined || filter === null) return null;
  if (isAll && !verbsForAll(search).includes(verb)) return null;
  return { verb, isAll, text, ids: isAll ? [] : ids, filter, time: bulkTimeOf(form, zone), visit };
}

async function ask(
  c: Context,
  asked: Asked,
  deps: PagesDeps,
  fault?: ReturnType<typeof faultOf>,
): Promise<Response> {
  const { frame, claims } = asked.visit;
  const full = { ...frame, deadLetters: await deps.countDeadLetters(claims) };
  // How many it could be: which moment is chosen on the page that says so.
  const soonest: WantedChange = { change: "reschedule", scheduledAt: frame.now };
  const { matched } = await perform(asked, deps, { isDryRun: true, moved: soonest });
  const page = { ...asked, frame: full, matched, fault: fault?.words };
  return await sendPage(c, <BulkPage {...page} />, fault?.status ?? 200);
}

async function act(c: Context, asked: Asked, deps: PagesDeps): Promise<Response> {
  const { verb, text, time, visit } = asked;
  const moved = verb === "reschedule" ? rescheduleOf(time, visit.frame.now) : null;
  const progress = await perform(asked, deps, { isDryRun: false, moved });
  const undo = undoOf(asked, progress, moved);
  const words = doneWords(asked, progress);
  return redirectWith(c, listPath(text), words, undo === null ? {} : { undo });
}

interface How {
  isDryRun: boolean;
  /** The time that a reschedule moves them to. */
  moved: WantedChange | null;
}

async function perform(
  { verb, filter, visit }: Asked,
  { bulk }: PagesDeps,
  { isDryRun, moved }: How,
): Promise<BulkProgress> {
  const { claims, origin } = visit;
  const how = { filter, isDryRun, origin };
  switch (verb) {
    case "cancel":
      return await cancelInBulk(bulk, how, claims);
    case "replay":
      return await replayInBulk(bulk, { ...how, ratePerMinute: null, scheduledAt: null }, claims);
    case "reschedule":
      if (moved === null) throw new Error("a reschedule without a time");
      return await changeInBulk(bulk, { ...how, wanted: moved }, claims);
    case "hold":
    case "release":
      return await changeInBulk(bulk, { ...how, wanted: { change: verb } }, claims);
  }
}

const participles: Record<BulkVerb, string> = {
  hold: "held",
  release: "released",
  reschedule: "rescheduled",
  replay: "replayed",
  cancel: "cancelled",
};

/** Why some of a selection were left alone. */
const restWords: Record<BulkVerb, (rest: string) => string> = {
  hold: (rest) => `${rest} did not wait to be sent`,
  release: (rest) => `${rest} were not held`,
  reschedule: (rest) => `${rest} had ended, or would be due in the past`,
  replay: (rest) => `${rest} were no dead letters`,
  cancel: (rest) => `${rest} had been sent, cancelled or begun before`,
};

function doneWords({ verb, isAll, ids }: Asked, { matched, done, isComplete }: BulkProgress) {
  const what = `${counted(done, "email")} ${participles[verb]}`;
  if (!isComplete) return `${what} so far; the rest follows.`;
  const rest = (isAll ? matched : ids.length) - done;
  return rest === 0 ? `${what}.` : `${what}; ${restWords[verb](counted(rest, "email"))}.`;
}

/** null: it can't be taken back, or there is nothing to take back. */
function undoOf(
  { verb, text }: Asked,
  { done, bulk, isComplete }: BulkProgress,
  moved: WantedChange | null,
): Undo | null {
  if (done === 0 || bulk === null || !isComplete) return null;
  if (verb === "hold") return { change: "release", bulk, seconds: 0, text };
  if (verb === "release") return { change: "hold", bulk, seconds: 0, text };
  if (moved === null || !("shiftSeconds" in moved)) return null;
  return { change: "reschedule", bulk, seconds: -moved.shiftSeconds, text };
}
