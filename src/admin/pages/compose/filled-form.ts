import { showMailbox } from "../../../email/mailbox.ts";
import type { Visit } from "../door.tsx";
import { openEmail } from "../emails/open-email.ts";
import { isUuid } from "../list-place.ts";
import { localOf } from "../local-time.ts";
import type { PagesDeps } from "../pages-deps.ts";
import { type ComposeFields, emptyFields, type FormAttachment } from "./compose-form.ts";

/** A form with what an email says in it. */
export interface FilledForm {
  fields: ComposeFields;
  version: number;
  /** When it is due, as the form's field says it. */
  at: string;
  attachments: readonly FormAttachment[];
}

/** The fields of an email that is there; null: there is none, or its content is gone. */
export async function filledFrom(
  id: string,
  { frame, claims }: Visit,
  deps: PagesDeps,
): Promise<FilledForm | null> {
  const opened = isUuid(id) ? await openEmail(deps, id, claims) : null;
  if (opened?.content == null) return null;
  const { email, content } = opened;
  const { draft } = content.current ?? {};
  if (draft === undefined) return null;
  const listOf = (kind: "to" | "cc" | "bcc") => draft[kind].map(showMailbox).join(", ");
  const fields: ComposeFields = {
    ...emptyFields(frame.zone),
    ...{ to: listOf("to"), cc: listOf("cc"), bcc: listOf("bcc") },
    subject: draft.subject,
    text: draft.body ?? "",
    html: draft.htmlBody ?? "",
    tags: email.tags.join(" "),
    copy: id,
  };
  const at = localOf(email.scheduledAt, frame.zone);
  return { fields, version: email.version, at, attachments: content.parsed.attachments };
}
