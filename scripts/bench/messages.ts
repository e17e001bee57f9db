/** A mail of about 10 kB when composed: a third text, two thirds HTML, as newsletters are. */
export interface BenchMail {
  to: string;
  subject: string;
  text: string;
  html: string;
}

const vocabulary =
  `the of and to in is you that it for on are as with this be at have from or by not but
  what all were when your can there use each which their if will other about many then them these
  some her would make like into time has two more see no way could people first water been call who
  its now find long down day get come made may part account order shipping invoice password reset
  newsletter update privacy policy unsubscribe click here offer discount customer support team
  regards hello thanks delivery address payment received amount total date tomorrow`.split(/\s+/);

/**
 * Prose, the same for the same seed: common words often, rare ones and numbers now and then. It
 * compresses to a third; a sentence said a hundred times takes no room at all, which would be a
 * gift to whoever stores it compressed.
 */
function sentences(seed: number, count: number): string[] {
  let state = seed + 1;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const word = () => {
    if (random() < 0.05) return String(Math.floor(random() * 10_000));
    return vocabulary[Math.floor(random() ** 2 * vocabulary.length)] ?? "";
  };
  return Array.from({ length: count }, () => {
    const words = Array.from({ length: 6 + Math.floor(random() * 12) }, word);
    return `${words.join(" ")}. `;
  });
}

const texts = Array.from({ length: 97 }, (_, seed) => sentences(seed, 56).join(""));
const paragraphs = Array.from({ length: 97 }, (_, seed) => sentences(seed + 1_000, 63));
const htmls = paragraphs.map((list) => {
  const lines = list.map((line) => `<p style="margin:0 0 12px;color:#333333">${line}</p>\n`);
  return `<html><body>${lines.join("")}</body></html>`;
});

export const benchSender = "mailer@example.test";

/** The number makes it distinct; the prefix tells runs apart in one sink. */
export function benchMail(prefix: string, index: number): BenchMail {
  return {
    to: `${prefix}${index}@example.test`,
    subject: `Number ${index} of ${prefix}`,
    text: `${index}\n${texts[index % texts.length]}`,
    html: `<!-- ${index} -->\n${htmls[index % htmls.length]}`,
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
