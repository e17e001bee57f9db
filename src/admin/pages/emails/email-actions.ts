import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { deadLetterStates } from "../../../email/states.ts";
import { cancelRefused, noSuchEmail } from "../../../emails/change-refusal.ts";
import { AppError } from "../../../errors.ts";
import type { StoredEmail } from "../../../store/stored-email.ts";
import type { Visit } from "../door.tsx";
import { type Fault, faultOf } from "../fault.ts";
import { redirectWith } from "../flash.ts";
import { instantOf } from "../local-time.ts";
import type { PagesDeps } from "../pages-deps.ts";
import { absoluteWords } from "../words.ts";
import { emailPath } from "./row.tsx";

const formBytesMax = 64 * 1024;

/** One form's action; answers what the email's page says afterwards. */
type Action = (
  asked: { id: string; visit: Visit; form: Record<string, unknown> },
  deps: PagesDeps,
) => Promise<string>;

type SendEmail = (c: Context, visit: Visit, fault: Fault) => Promise<Response>;

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Each is a form of its own, posted to its own address, and leads back to the email. */
export function mountEmailActions(app: Hono, deps: PagesDeps, sendEmail: SendEmail): void {
  for (const [name, act] of Object.entries(actions)) {
    app.post(`/console/emails/:id/${name}`, bodyLimit({ maxSize: formBytesMax }), async (c) => {
      const visit = await deps.door.act(c);
      if (visit instanceof Response) return visit;
      const id = c.req.param("id");
      try {
        if (!uuid.test(id)) throw noSuchEmail();
        const words = await act({ id, visit, form: await c.req.parseBody() }, deps);
        return redirectWith(c, emailPath(id), words);
      } catch (error) {
        return await sendEmail(c, visit, faultOf(error));
      }
    });
  }
}

/** As the API's: on one line, for the journal. */
const reasonPattern = /^[^\p{Cc}\p{Zl}\p{Zp}]{0,500}$/u;
const noReason = () =>
  new AppError("invalid_content", {
    publicDetail: "Say why on one line of at most 500 characters.",
  });
const noDeadLetter = ({ status }: StoredEmail) =>
  new AppError("not_a_dead_letter", {
    publicDetail: `The email is ${status}; only dead letters are dismissed.`,
  });

const targetOf = (id: string, { claims, origin }: Visit) => ({ id, claims, origin });

const actions: Record<string, Action> = {
  async cancel({ id, visit }, { emails }) {
    const answer = await emails.cancel(id, visit.claims, visit.origin);
    if (answer === "not_found") throw noSuchEmail();
    if (answer !== "cancelled") throw cancelRefused(answer);
    return "Cancelled: it will not be sent.";
  },
  async "send-now"({ id, visit }, { change }) {
    await change.sendNow({ ...targetOf(id, visit), versions: null });
    return "It goes out now.";
  },
  async hold({ id, visit }, { change }) {
    await change.hold(targetOf(id, visit));
    return "Held: it waits until somebody releases it.";
  },
  async release({ id, visit }, { change }) {
    await change.release(targetOf(id, visit));
    return "Released.";
  },
  async replay({ id, visit }, { change }) {
    const revise = () => ({});
    await change.replay({ ...targetOf(id, visit), versions: null, fields: [], revise });
    return "It is sent again, to the recipients who have not got it.";
  },
  async dismiss({ id, visit: { claims, origin }, form }, { bulk, emails }) {
    const reason = String(form.reason ?? "").trim();
    if (!reasonPattern.test(reason)) throw noReason();
    const wanted = { change: "dismiss", reason: reason || null } as const;
    const done = await bulk.bulkChange.change(wanted, { ids: [id], bulk: null, origin }, claims);
    if (done > 0) return "Dismissed: it needs no decision any more.";
    const email = await emails.get(id, claims);
    if (email === null) throw noSuchEmail();
    if (!deadLetterStates.some((state) => state === email.status)) throw noDeadLetter(email);
    return "It was dismissed before.";
  },
  async destroy({ id, visit }, { emails }) {
    const answer = await emails.shred(id, visit.claims, visit.origin);
    if (answer.kind === "not_found") throw noSuchEmail();
    if (answer.kind === "shredded") return "Its content is destroyed.";
    throw cancelRefused("in_flight");
  },
  async reschedule({ id, visit, form }, { change, toEdit }) {
    const at = instantOf(String(form.at), String(form.zone));
    // A text that is no time is refused in the words of the API.
    const body = { scheduled_at: at?.toISOString() ?? `${form.at} ${form.zone}` };
    await change.edit({
      ...targetOf(id, visit),
      versions: /^\d{1,9}$/.test(String(form.version)) ? [Number(form.version)] : null,
      fields: ["scheduled_at"],
      revise: (current) => toEdit(body, current, { isReplay: false }),
    });
    return at === null ? "Rescheduled." : `It goes out ${absoluteWords(at, visit.frame)}.`;
  },
};
