import type { CurrentEmail } from "../../content/current-email.ts";
import type { RecipientLists } from "../../email/email-edit.ts";
import type { FieldFault } from "../../errors.ts";
import { recipientsMax } from "./email-rules.ts";
import type { EmailFields } from "./email-schema.ts";

/**
 * The lists an email is addressed to after an edit; null: none was named. A recipient who has it
 * stays on its lists, whatever the edit names: it is the truth, and the others may see it.
 */
export function editRecipients(
  given: Partial<EmailFields>,
  { draft, recipients }: CurrentEmail,
): { lists: RecipientLists | null; fault: FieldFault[] } {
  const { recipients: to, cc, bcc } = given;
  if (to === undefined && cc === undefined && bcc === undefined) return { lists: null, fault: [] };
  const sent = recipients.filter(({ status }) => status === "sent");
  const sentTo = new Set(sent.map(({ mailbox }) => mailbox.address.toLowerCase()));
  const isSent = (address: string) => sentTo.has(address.toLowerCase());
  const listOf = (kind: keyof RecipientLists, named: RecipientLists["to"] | null | undefined) => [
    ...sent.filter((one) => one.kind === kind).map(({ mailbox }) => mailbox),
    ...(named === undefined ? draft[kind] : (named ?? [])).filter(
      ({ address }) => !isSent(address),
    ),
  ];
  const lists = { to: listOf("to", to), cc: listOf("cc", cc), bcc: listOf("bcc", bcc) };
  const count = lists.to.length + lists.cc.length + lists.bcc.length;
  const detail = `expected at most ${recipientsMax} addresses together with the ${sent.length} who have got it, got ${count}`;
  const isTooMany = sent.length > 0 && count > recipientsMax;
  return { lists, fault: isTooMany ? [{ pointer: "/recipients", detail }] : [] };
}
