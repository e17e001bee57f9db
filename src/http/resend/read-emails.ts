import { isMessageNeeded } from "../../content/stored-details.ts";
import type { FieldFault } from "../../errors.ts";
import type { EmailFilter, WholeEmail } from "../../store/stored-email.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { findEmail } from "../emails/find-email.ts";
import { holdForRead, sendLarge } from "../middleware/large-read.ts";
import { isUuid, noSuchEmail } from "../request/email-id.ts";
import { createReader, limitDefault, limitMax, parseWhole } from "../request/list-query.ts";
import { invalidQuery } from "../request/query.ts";
import { resendEmail, resendListed } from "./email-answer.ts";

/** GET /emails/{id} */
export function createResendGet(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const found = await findEmail(c, deps, { details: true });
    if (!isMessageNeeded(found, deps.keyRing)) return c.json(resendEmail(found, deps, deps.now()));
    await holdForRead(c, deps, found.messageBytes);
    const email = await findEmail(c, deps, { details: true, message: true });
    const { headers, body } = c.json(resendEmail(email, deps, deps.now()));
    return await sendLarge(c, deps, { content: await new Response(body).bytes(), headers });
  };
}

export const resendPage = ["limit", "after", "before"];

const everything: EmailFilter = {
  statuses: null,
  isDeferred: false,
  tag: null,
  metadata: null,
  addressIndex: null,
  scheduledAfter: null,
  scheduledBefore: null,
};

/** GET /emails: newest first; `after` and `before` are ids of emails. */
export function createResendList(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const page = readResendPage(c);
    const next = page.after ?? page.before;
    if (next !== undefined && !(await deps.emails.get(next, claimsOf(c)))) throw noSuchEmail();
    const asked = { offset: null, cursor: null, ...page };
    const found = await deps.emails.list(everything, asked, claimsOf(c));
    const data: ReturnType<typeof resendListed>[] = [];
    for (const { id } of found.emails) {
      // One after the other: its details may hold a text of megabytes.
      const email: WholeEmail | null = await deps.emails.get(id, claimsOf(c), { details: true });
      if (email) data.push(resendListed(email, deps, deps.now()));
    }
    return c.json({ object: "list", has_more: found.next !== null, data });
  };
}

export function readResendPage(c: ApiContext): { limit: number; after?: string; before?: string } {
  const faults: FieldFault[] = [];
  const read = createReader(c, faults);
  const parseId = (text: string) =>
    isUuid(text) ? { value: text } : { fault: "expected the id of an entry of the list" };
  const limit = read("limit", (text) => parseWhole(text, 1, limitMax)) ?? limitDefault;
  const after = read("after", parseId);
  const before = read("before", parseId);
  if (after !== null && before !== null) {
    faults.push({ pointer: "/before", detail: "expected after or before, got both" });
  }
  if (faults.length > 0) throw invalidQuery(faults);
  return { limit, ...(after === null ? {} : { after }), ...(before === null ? {} : { before }) };
}
