import { noSuchEmail } from "../../../emails/change-refusal.ts";
import { AppError } from "../../../errors.ts";
import { isUuid } from "../list-place.ts";
import type { PagesDeps } from "../pages-deps.ts";
import { attachmentOf, changesOf } from "./compose-form.ts";
import type { EditedEmail } from "./compose-page.tsx";
import { type FilledForm, filledFrom } from "./filled-form.ts";
import { type AskedForm, goingAlong } from "./read-form.ts";

/** Saves what was changed, of a dead letter with sending it again; what the page says afterwards. */
export async function saveEdit(
  asked: AskedForm,
  { id, version, isReplay }: EditedEmail,
  deps: PagesDeps,
): Promise<string> {
  const { claims, origin } = asked.visit;
  const before = isUuid(id) ? await filledFrom(id, asked.visit, deps) : null;
  if (before === null) throw noSuchEmail();
  if (version === 0) throw new AppError("changed_meanwhile", { publicDetail: "Open it again." });
  const body = bodyOfEdit(asked, before, isReplay);
  const request = {
    ...{ id, claims, origin, versions: [version], fields: Object.keys(body).sort() },
    revise: (current: Parameters<typeof deps.toEdit>[1]) =>
      deps.toEdit(body, current, { isReplay }),
  };
  if (isReplay) {
    await deps.change.replay(request);
    const words = request.fields.length === 0 ? "" : ", as edited,";
    return `It is sent again${words} to the recipients who have not got it.`;
  }
  await deps.change.edit(request);
  return request.fields.length === 0 ? "Nothing was changed." : "Saved.";
}

function bodyOfEdit(asked: AskedForm, before: FilledForm, isReplay: boolean) {
  const at = isReplay ? "" : before.at;
  const { zone } = before.fields;
  const changes = changesOf(asked.fields, { ...before.fields, at, zone });
  const attachments = goingAlong(asked, before.attachments);
  const isSame = asked.files.length === 0 && attachments.length === before.attachments.length;
  return isSame ? changes : { ...changes, attachments: attachments.map(attachmentOf) };
}
