import type { SmtpReply } from "../email/smtp.ts";

const textLengthMax = 500;
const enhancedPattern = /^([245]\.\d{1,3}\.\d{1,3})(?=\s|$)/;

/**
 * Reads a complete reply, lines parted by LF. Null for what is no reply by RFC 5321 section 4.2:
 * such a line says nothing about the message and is treated like a broken connection.
 */
export function parseReply(raw: string): SmtpReply | null {
  const lines = raw.split(/\r?\n/).filter((line) => line !== "");
  const last = /^([2-5]\d{2})(?: |$)/.exec(lines.at(-1) ?? "");
  if (!last) return null;
  const enhanced: string[] = [];
  const words = lines.map((line) => {
    const text = line.replace(/^\d{3}[ -]?/, "").trim();
    const found = enhancedPattern.exec(text)?.[1];
    if (found === undefined) return text;
    enhanced.push(found);
    return text.slice(found.length).trim();
  });
  const code = last[1] ?? "";
  // RFC 2034 wants the same on every line; where they differ, one of the code's own class counts.
  const meant = enhanced.find((found) => found[0] === code[0]) ?? enhanced[0] ?? null;
  return { code: Number(code), enhanced: meant, text: printable(words.join(" ")) };
}

/** True for 2xx. */
export function isPositive(reply: SmtpReply): boolean {
  return reply.code >= 200 && reply.code < 300;
}

function printable(text: string): string {
  // Control characters have no meaning in a reply, and could forge lines wherever it is shown.
  return text
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, textLengthMax);
}
