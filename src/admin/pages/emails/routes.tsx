import type { Context, Hono } from "hono";
import { decryptEmail } from "../../../content/decrypt-email.ts";
import { isAppError } from "../../../errors.ts";
import { sendDownload, sendFragment, sendMessageHtml, sendPage } from "../../page-response.ts";
import { type ParsedMessage, parseMessage } from "../../parsed-message.ts";
import type { Visit } from "../door.tsx";
import type { Fault } from "../fault.ts";
import { readPlace, writePlace } from "../list-place.ts";
import { sendMissing } from "../missing.tsx";
import type { PagesDeps } from "../pages-deps.ts";
import { mountBulk } from "./bulk-routes.tsx";
import { partOf } from "./content.tsx";
import { mountEmailActions } from "./email-actions.ts";
import { EmailPage } from "./email-page.tsx";
import { EmailRows, EmailsPage, listPath, NoEmails } from "./list-page.tsx";
import { openEmail, withMessage } from "./open-email.ts";
import { emailPath, type ListedEmail } from "./row.tsx";
import { readSearch, type Search } from "./search.ts";

const pageSize = 50;
export const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The list, one email, its parts, and what is done to them. */
export function mountEmails(app: Hono, deps: PagesDeps): void {
  const { door } = deps;

  const sendList = async (c: Context): Promise<Response> => {
    const isPart = c.req.header("X-Requested-With") === "console";
    const visit = await (isPart ? door.slip(c) : door.enter(c));
    if (visit instanceof Response) return visit;
    const search = searchOf(c, visit, deps);
    if (search.emailId !== null) return c.redirect(emailPath(search.emailId), 303);
    const page = await listEmails(c, visit, search, deps);
    // A list that is empty stays so until there is a row: the page must find what it has.
    const isEmpty = page.emails.length === 0;
    if (isPart && isEmpty) return await sendFragment(c, <NoEmails {...page} />);
    if (isPart) return await sendFragment(c, <EmailRows {...page} />);
    return await sendPage(c, <EmailsPage {...page} />);
  };
  app.get("/console/emails", sendList);

  app.get("/console/emails/:id", async (c) => {
    const visit = await door.enter(c);
    return visit instanceof Response ? visit : await sendEmail(c, visit, deps);
  });

  app.get("/console/emails/:id/raw", async (c) =>
    withContent(c, deps, async (message) =>
      sendDownload(c, message, `${c.req.param("id")}.eml`, "message/rfc822"),
    ),
  );
  app.get("/console/emails/:id/html", async (c) => {
    const isRemote = c.req.query("remote") === "true";
    return await withContent(c, deps, async (_, { html }) =>
      html === null ? null : sendMessageHtml(c, html, { isRemote }),
    );
  });
  app.get("/console/emails/:id/attachments/:number", async (c) =>
    withContent(c, deps, async (_, { attachments }) => {
      const number = c.req.param("number");
      const attachment = /^\d{1,3}$/.test(number) ? attachments[Number(number)] : undefined;
      return attachment === undefined
        ? null
        : sendDownload(c, attachment.content, attachment.filename);
    }),
  );
  mountBulk(app, deps);
  mountEmailActions(app, deps, (c, visit, fault) => sendEmail(c, visit, deps, fault));
}

export function searchOf(c: Context, { frame }: Visit, { keyRing }: PagesDeps): Search {
  const { blindIndexes } = keyRing;
  return readSearch(c.req.query("q") ?? "", { zone: frame.zone, blindIndexes });
}

async function listEmails(
  c: Context,
  { frame, claims }: Visit,
  search: Search,
  { emails, keyRing }: PagesDeps,
) {
  const cursor = readPlace(c.req.query("older"));
  const isByDue = c.req.query("sort") === "due";
  const sort = isByDue ? ({ sort: "scheduled_at" } as const) : {};
  const page = { limit: pageSize, offset: null, cursor, ...sort };
  const found = await emails.list(search.filter, page, claims, { withAttempts: true });
  const next = found.next && new URLSearchParams({ older: writePlace(found.next) });
  const path = listPath(search.text, isByDue);
  return {
    frame,
    search,
    emails: found.emails.map(
      (email): ListedEmail => ({ email, decrypted: decryptEmail(email, keyRing) }),
    ),
    nextPath: next && `${path}${path.includes("?") ? "&" : "?"}${next}`,
    isLater: cursor !== null,
    isByDue,
  };
}

async function sendEmail(
  c: Context,
  visit: Visit,
  deps: PagesDeps,
  fault?: Fault,
): Promise<Response> {
  const { frame, claims } = visit;
  const id = c.req.param("id") ?? "";
  const opened = uuid.test(id) ? await openEmail(deps, id, claims) : null;
  if (opened === null) return await sendMissing(c, frame);
  const page = {
    frame,
    opened,
    part: partOf(opened.content, c.req.query("part")),
    isPhone: c.req.query("width") === "phone",
    isRemote: c.req.query("remote") === "true",
    fault: fault?.words,
  };
  return await sendPage(c, <EmailPage {...page} />, fault?.status ?? 200);
}

/** Every route below a message starts alike: somebody who may see it, and a message that opens. */
async function withContent(
  c: Context,
  deps: PagesDeps,
  answer: (message: Uint8Array, parsed: ParsedMessage) => Promise<Response | null>,
): Promise<Response> {
  const visit = await deps.door.slip(c);
  if (visit instanceof Response) return visit;
  const { frame, claims } = visit;
  const id = c.req.param("id") ?? "";
  const email = uuid.test(id) ? await deps.emails.get(id, claims) : null;
  if (email === null) return await sendMissing(c, frame);
  try {
    const found = await withMessage(deps, email, claims, async (_, message) =>
      answer(message, await parseMessage(message)),
    );
    return found ?? (await sendMissing(c, frame));
  } catch (error) {
    if (isAppError(error, "not_found")) return await sendMissing(c, frame);
    throw error;
  }
}
