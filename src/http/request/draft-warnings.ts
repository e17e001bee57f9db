import type { EmailDraft } from "../../email/email.ts";

const yearMs = 365 * 24 * 60 * 60 * 1000;
/** Many mail servers take no more. */
const commonSizeBytesMax = 10 * 1024 * 1024;

/** Warnings, as sentences, about values that are allowed and may not be meant. */
export function draftWarnings(draft: EmailDraft, sizeBytes: number, now: Date): string[] {
  const { scheduledAt, body, to, cc, bcc, from } = draft;
  const sentences: [holds: boolean, sentence: string][] = [
    [
      scheduledAt !== null && scheduledAt.getTime() - now.getTime() > yearMs,
      "scheduled_at is more than a year away.",
    ],
    [body === null, "There is no body beside html_body: some programs show text only."],
    [
      sizeBytes > commonSizeBytesMax,
      `The message is ${sizeBytes} bytes; many mail servers refuse more than 10 MB.`,
    ],
    [
      to.length === 0 && cc.length === 0,
      "There is neither a To nor a Cc line: some filters take that for spam.",
    ],
    [
      to.length + cc.length > 10,
      `${to.length + cc.length} recipients will see each other's addresses; bcc hides them.`,
    ],
    [
      [from, ...to, ...cc, ...bcc].some(
        ({ address }) => !address.includes(".", address.lastIndexOf("@")),
      ),
      "An address has a domain without a dot: only a local server can deliver it.",
    ],
  ];
  return sentences.filter(([holds]) => holds).map(([, sentence]) => sentence);
}
