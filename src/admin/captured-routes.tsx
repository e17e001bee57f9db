import type { Context, Hono } from "hono";
import type { Principal } from "../auth/principal.ts";
import { type AdmissionOptions, createAdmission } from "./admission.tsx";
import { CapturedList, CapturedListPage, type ExampleOptions } from "./captured-list.tsx";
import type { CapturedMail, CapturedMails } from "./captured-mails.ts";
import { CapturedPage, hasPart, messageParts } from "./captured-page.tsx";
import { Notice, Page, type PauseNotice } from "./page.tsx";
import { sendDownload, sendFragment, sendMessageHtml, sendPage } from "./page-response.ts";
import { parseMessage } from "./parsed-message.ts";
import type { Visitors } from "./visitor.ts";

const listedMax = 100;

interface OpenedMail {
  principal: Principal;
  pause: PauseNotice | null;
  emailId: string;
  mail: CapturedMail;
}

/** Finds the pauses that a visitor is told of; null: there is none. */
export type FindPause = (visitor: Principal) => PauseNotice | null;

/** They show everybody's content: admins only. */
export function mountCaptured(
  app: Hono,
  visitors: Visitors,
  captured: CapturedMails,
  options: Omit<AdmissionOptions, "reason"> & { findPause: FindPause },
): void {
  const { program, findPause } = options;
  const reason = "Captured mails show everybody's content.";
  const admit = createAdmission(visitors, { ...options, reason });

  app.get("/captured", async (c) => {
    const principal = await admit(c);
    if (principal instanceof Response) return principal;
    const mails = await captured.list(listedMax);
    const example = { baseUrl: visitors.baseUrl(c), program };
    return sendFragment(c, <CapturedList mails={mails} limit={listedMax} example={example} />);
  });

  /** Every route below a mail starts alike: an admin, a well-formed id, a mail that exists. */
  const withMail =
    (answer: (c: Context, opened: OpenedMail) => Promise<Response> | Response) =>
    async (c: Context): Promise<Response> => {
      const principal = await admit(c);
      if (principal instanceof Response) return principal;
      const emailId = c.req.param("id") ?? "";
      // The id becomes part of a file name further down.
      const mail = /^[\w-]{1,64}$/.test(emailId) ? await captured.read(emailId) : null;
      if (mail === null) return sendMissing(c, principal);
      return await answer(c, { principal, pause: findPause(principal), emailId, mail });
    };

  app.get("/captured/:id", withMail(sendCaptured));
  app.get(
    "/captured/:id/raw",
    withMail((c, { mail, emailId }) =>
      sendDownload(c, mail.message, `${emailId}.eml`, "message/rfc822"),
    ),
  );
  app.get(
    "/captured/:id/html",
    withMail(async (c, { mail, principal }) => {
      const { html } = await parseMessage(mail.message);
      return html === null ? sendMissing(c, principal) : sendMessageHtml(c, html);
    }),
  );
  app.get(
    "/captured/:id/attachments/:number",
    withMail(async (c, { mail, principal }) => {
      const { attachments } = await parseMessage(mail.message);
      const attachment = attachments[Number(c.req.param("number"))];
      if (attachment === undefined) return sendMissing(c, principal);
      return sendDownload(c, attachment.content, attachment.filename);
    }),
  );
}

/** What `/` shows to admins while capturing. */
export async function sendCapturedList(
  c: Context,
  visitor: { principal: Principal; pause: PauseNotice | null },
  captured: CapturedMails,
  example: ExampleOptions,
): Promise<Response> {
  const mails = await captured.list(listedMax);
  const list = { ...visitor, mails, limit: listedMax, example };
  return sendPage(c, <CapturedListPage {...list} />);
}

async function sendCaptured(c: Context, opened: OpenedMail): Promise<Response> {
  const message = await parseMessage(opened.mail.message);
  const asked = messageParts.find((name) => name === c.req.query("part"));
  const isShown = asked !== undefined && hasPart(message, asked);
  const first = messageParts.find((name) => hasPart(message, name)) ?? "headers";
  return sendPage(c, <CapturedPage {...opened} message={message} part={isShown ? asked : first} />);
}

function sendMissing(c: Context, principal: Principal): Promise<Response> {
  const page = (
    <Page title="Not found" principal={principal}>
      <Notice heading="No such mail">
        <p>
          It may have been deleted from the folder. <a href="/">All captured mails</a>
        </p>
      </Notice>
    </Page>
  );
  return sendPage(c, page, 404);
}
