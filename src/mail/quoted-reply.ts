import type { SmtpPhase, SmtpReply } from "../email/smtp.ts";
import { scrubbedText } from "../log-scrub.ts";

/** The command a phase's reply answered, as a postmaster names it. */
const commandOf: Record<SmtpPhase, string> = {
  connect: "connecting",
  greeting: "the greeting",
  ehlo: "EHLO",
  starttls: "STARTTLS",
  auth: "AUTH",
  mail: "MAIL",
  rcpt: "RCPT",
  data: "DATA",
  fence: "DATA",
  body: "the message",
  reply: "the message",
};

const shownCharactersMax = 200;

/**
 * A reply as `/health`, the log and the console may show it: code, enhanced code, the command it
 * answered and the server's text. Replies quote mailboxes, which are content, and IP addresses,
 * which `/health` does not show: both become placeholders.
 */
export function quotedReply({ code, enhanced, text }: SmtpReply, phase: SmtpPhase): string {
  const codes = enhanced === null ? `${code}` : `${code} ${enhanced}`;
  const words = withoutAddresses(text);
  return `${codes} at ${commandOf[phase]}${words === "" ? "" : `: ${words}`}`;
}

function withoutAddresses(text: string): string {
  const scrubbed = scrubbedText(text.replace(/<[^<>]*>/g, "[address]"))
    .replace(/(?<![\d.])\d{1,3}(\.\d{1,3}){3}(?![\d.]*\d)/g, "[ip]")
    .replace(/\b(ipv6:)?[0-9a-f]{1,4}(:[0-9a-f]{0,4}){3,7}/gi, "[ip]");
  return scrubbed.length > shownCharactersMax
    ? `${scrubbed.slice(0, shownCharactersMax)}…`
    : scrubbed;
}
