/** A mail of about 10 kB when composed: a third text, two thirds HTML, as newsletters are. */
export interface BenchMail {
  to: string;
  subject: string;
  text: string;
  html: string;
}

const sentence = "Dear reader, this line is one of many and says what mails say, only less of it. ";
const text = sentence.repeat(37);
const html = `<html><body>${`<p>${sentence}</p>\n`.repeat(70)}</body></html>`;

export const benchSender = "mailer@example.test";

/** The number makes it distinct; the prefix tells runs apart in one sink. */
export function benchMail(prefix: string, index: number): BenchMail {
  return {
    to: `${prefix}${index}@example.test`,
    subject: `Number ${index} of ${prefix}`,
    text: `${index}\n${text}`,
    html: html.replace("Dear reader", `Dear reader ${index}`),
  };
}

/** The same as the API takes it. */
export function apiMail(prefix: string, index: number, scheduledAt?: string) {
  const mail = benchMail(prefix, index);
  return {
    recipients: [mail.to],
    subject: mail.subject,
    body: mail.text,
    html_body: mail.html,
    ...(scheduledAt === undefined ? {} : { scheduled_at: scheduledAt }),
  };
}
