import type { Context } from "hono";
import { AppError } from "../../../errors.ts";
import type { Visit } from "../door.tsx";
import { openEmail } from "../emails/open-email.ts";
import { isUuid } from "../list-place.ts";
import type { PagesDeps } from "../pages-deps.ts";
import {
  type ComposeFields,
  type FormAttachment,
  fieldsOf,
  filesOf,
  keptOf,
} from "./compose-form.ts";

/** 25 MB of attachments, and the texts. */
export const formBytesMax = 30 * 1024 * 1024;
const unsaidBytes = 1024 * 1024;
/** The body, its parts, and what is composed of them. */
const copiesAtOnce = 4;

export interface AskedForm {
  visit: Visit;
  fields: ComposeFields;
  form: Record<string, unknown>;
  /** Chosen now. */
  files: readonly FormAttachment[];
  /** Places of the attachments of the email it is made from that stay; null: all. */
  kept: ReadonlySet<number> | null;
}

/** Reads the form under the semaphore, like everything large, until `use` has answered. */
export async function withForm(
  c: Context,
  { door, semaphore }: PagesDeps,
  use: (asked: AskedForm) => Promise<Response>,
): Promise<Response> {
  const visit = await door.act(c);
  if (visit instanceof Response) return visit;
  // Browsers say how long a form is; what says nothing is cut off by the limit of the body.
  const length = Number(c.req.header("content-length"));
  const bytes = Math.min(Number.isFinite(length) ? length : unsaidBytes, formBytesMax);
  const ownerId = visit.claims.sub;
  const giveBack = semaphore.tryAcquire(bytes * copiesAtOnce, { ownerId, ownBytes: 0 });
  if (giveBack === null) throw overloaded();
  try {
    const form = await c.req.parseBody({ all: true });
    const fields = fieldsOf(form, visit.frame.zone);
    return await use({ visit, form, fields, files: await filesOf(form), kept: keptOf(form) });
  } finally {
    giveBack();
  }
}

/** Of the email that it is made from, all of them. */
export async function copiedAttachments(
  { visit, fields }: Pick<AskedForm, "visit" | "fields">,
  deps: PagesDeps,
): Promise<readonly FormAttachment[]> {
  const { copy } = fields;
  const opened = isUuid(copy) ? await openEmail(deps, copy, visit.claims) : null;
  return opened?.content?.parsed.attachments ?? [];
}

/** Those that stay of the email before, then those that were chosen. */
export function goingAlong(
  { files, kept }: Pick<AskedForm, "files" | "kept">,
  copied: readonly FormAttachment[],
): FormAttachment[] {
  return [...copied.filter((_, place) => kept?.has(place) ?? true), ...files];
}

function overloaded(): AppError {
  return new AppError("overloaded", {
    publicDetail: "Too much is being accepted at this moment. Try again in a few seconds.",
    retryAfterSeconds: 2,
  });
}
