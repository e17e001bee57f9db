import { createHash } from "node:crypto";
import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { deadLetterStates } from "../../../email/states.ts";
import { withDate } from "../../../mail/message-date.ts";
import { sendMessageHtml, sendPage } from "../../page-response.ts";
import type { Visit } from "../door.tsx";
import { emailPath } from "../emails/row.tsx";
import { type Fault, faultOf } from "../fault.ts";
import { redirectWith } from "../flash.ts";
import { isUuid } from "../list-place.ts";
import { sendMissing } from "../missing.tsx";
import type { PagesDeps } from "../pages-deps.ts";
import { absoluteWords } from "../words.ts";
import { bodyOf, type ComposeFields, emptyFields, type FormAttachment } from "./compose-form.ts";
import { ComposePage, type EditedEmail } from "./compose-page.tsx";
import { filledFrom } from "./filled-form.ts";
import { faultHtml, previewHtml } from "./preview.ts";
import {
  type AskedForm,
  copiedAttachments,
  formBytesMax,
  goingAlong,
  withForm,
} from "./read-form.ts";
import { saveEdit } from "./save-edit.ts";

const path = "/console/compose";

/** Writing an email by hand, from nothing or from another one, and editing one that is there. */
export function mountCompose(app: Hono, deps: PagesDeps): void {
  app.get(path, async (c) => {
    const visit = await deps.door.enter(c);
    if (visit instanceof Response) return visit;
    const from = await filledFrom(c.req.query("copy") ?? "", visit, deps);
    const { fields = emptyFields(visit.frame.zone), attachments = [] } = from ?? {};
    return await sendCompose(c, visit, deps, { fields, edited: null, attachments });
  });
  app.get("/console/emails/:id/edit", async (c) => {
    const visit = await deps.door.enter(c);
    if (visit instanceof Response) return visit;
    const id = c.req.param("id");
    const from = await filledFrom(id, visit, deps);
    if (from === null) return await sendMissing(c, visit.frame);
    const { fields, version, attachments, at } = from;
    const isReplay = c.req.query("replay") === "true" && (await isDead(id, visit, deps));
    // Its time is past: without a date it is sent again now.
    const shown = isReplay ? fields : { ...fields, at };
    const edited = { id, version, isReplay };
    return await sendCompose(c, visit, deps, { fields: shown, edited, attachments });
  });

  const onForm = (
    at: string,
    act: (c: Context, asked: AskedForm) => Promise<Response>,
    editedOf: (c: Context, asked: AskedForm) => EditedEmail | null = () => null,
  ) =>
    app.post(at, bodyLimit({ maxSize: formBytesMax, onError: tooLarge }), (c) =>
      withForm(c, deps, async (asked) => {
        try {
          return await act(c, asked);
        } catch (error) {
          return await sendAgain(c, asked, deps, { edited: editedOf(c, asked), error });
        }
      }),
    );
  onForm(path, (c, asked) => schedule(c, asked, deps));
  onForm(`${path}/test`, (c, asked) => sendTest(c, asked, deps));
  onForm(`${path}/preview`, async (c, asked) =>
    sendMessageHtml(c, await preview(asked, deps), { isRemote: false }),
  );
  onForm(
    "/console/emails/:id/edit",
    async (c, asked) => {
      const edited = editedBy(c, asked);
      const words = await saveEdit(asked, edited, deps);
      return redirectWith(c, emailPath(edited.id), words);
    },
    editedBy,
  );
}

function editedBy(c: Context, { form }: AskedForm): EditedEmail {
  const id = c.req.param("id") ?? "";
  return { id, version: Number(form.version) || 0, isReplay: form.replay === "true" };
}

async function isDead(id: string, { claims }: Visit, { emails }: PagesDeps): Promise<boolean> {
  const email = isUuid(id) ? await emails.get(id, claims) : null;
  return deadLetterStates.some((state) => state === email?.status);
}

function tooLarge(c: Context): Response {
  const words = `A form holds at most ${formBytesMax / 1024 / 1024} MB: leave an attachment out.`;
  return c.text(words, 413);
}

/** Shows the form again as it was typed, beside what is wrong with it. */
async function sendAgain(
  c: Context,
  asked: AskedForm,
  deps: PagesDeps,
  { edited, error }: { edited: EditedEmail | null; error: unknown },
): Promise<Response> {
  const { words, status } = faultOf(error);
  const { visit, fields, files, kept } = asked;
  const attachments = await copiedAttachments(asked, deps);
  const isLost = files.length > 0;
  const fault = { words: isLost ? `${words} Choose the files again.` : words, status };
  const again = { ...fields, key: crypto.randomUUID() };
  return await sendCompose(c, visit, deps, { fields: again, edited, attachments, kept }, fault);
}

interface Shown {
  fields: ComposeFields;
  edited: EditedEmail | null;
  attachments: readonly FormAttachment[];
  kept?: AskedForm["kept"];
}

async function sendCompose(
  c: Context,
  { frame }: Visit,
  { senderName }: PagesDeps,
  { fields, edited, attachments, kept = null }: Shown,
  fault?: Fault,
): Promise<Response> {
  const page = {
    ...{ frame, fields, edited, sender: senderName, fault: fault?.words },
    attachments: attachments.map(({ filename, content }, place) => ({
      ...{ filename, sizeBytes: content.length, isKept: kept?.has(place) ?? true },
    })),
  };
  return await sendPage(c, <ComposePage {...page} />, fault?.status ?? 200);
}

async function bodyWithFiles(asked: AskedForm, deps: PagesDeps) {
  return bodyOf(asked.fields, goingAlong(asked, await copiedAttachments(asked, deps)));
}

async function schedule(c: Context, asked: AskedForm, deps: PagesDeps): Promise<Response> {
  const { visit, fields } = asked;
  const email = await accept(await bodyWithFiles(asked, deps), fields.key, visit, deps);
  const words = `Scheduled: it goes out ${absoluteWords(email.scheduledAt, visit.frame)}.`;
  return redirectWith(c, emailPath(email.id), words);
}

/** The same content to one address, at once and without a retry. */
async function sendTest(c: Context, asked: AskedForm, deps: PagesDeps): Promise<Response> {
  const {
    cc: _cc,
    bcc: _bcc,
    scheduled_at: _at,
    ...content
  } = {
    ...{ cc: [], bcc: [], scheduled_at: "" },
    ...(await bodyWithFiles(asked, deps)),
  };
  const body = { ...content, recipients: [String(asked.form.test_to ?? "")], max_retries: 0 };
  const { id } = await accept(body, crypto.randomUUID(), asked.visit, deps);
  return redirectWith(c, emailPath(id), "The test is on its way; this page follows it.");
}

async function accept(body: object, key: string, { claims, origin }: Visit, deps: PagesDeps) {
  const fingerprint = createHash("sha256").update(JSON.stringify(body)).digest("hex");
  const { emails } = await deps.accept.accept({
    ownerId: claims.sub,
    origin,
    drafts: [deps.toDraft(body)],
    idempotency: { path, key: key.slice(0, 64) || crypto.randomUUID(), fingerprint },
  });
  const [email] = emails;
  if (!email) throw new Error("accept answered without the email");
  return email;
}

async function preview(asked: AskedForm, deps: PagesDeps): Promise<string> {
  const { frame } = asked.visit;
  try {
    const draft = deps.toDraft(await bodyWithFiles(asked, deps));
    const scheduledAt = draft.scheduledAt ?? frame.now;
    const message = withDate(await deps.accept.preview(draft), scheduledAt);
    const warnings = deps.draftWarnings(draft, message.length);
    return await previewHtml({ message, scheduledAt, warnings }, frame);
  } catch (error) {
    return faultHtml(faultOf(error).words);
  }
}
