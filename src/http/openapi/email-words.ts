import type { EmailFields } from "../request/email-schema.ts";

const address = "`a@b`, `Name <a@b>` or `{ address, name }`";

/** What each field of an email means. A field that is forgotten here does not compile. */
export const emailWords: Readonly<Record<keyof EmailFields, string>> = {
  recipients:
    `The To line: addresses as ${address}. Everybody sees it; 1 to 50 addresses with \`cc\` and ` +
    "`bcc` together.",
  cc: `The Cc line: addresses as ${address}.`,
  bcc: `Recipients whom nobody sees: addresses as ${address}.`,
  from:
    `The From line: ${address}. Default: \`SMTP_FROM\` of the server; it must be one that ` +
    "`SMTP_FROM_ALLOWED` permits.",
  reply_to: `Where answers go: ${address}, or a list of up to 50 of them.`,
  subject: "1 to 998 characters on one line.",
  body: "The text part.",
  html_body: "The HTML part. With `body` too, mail programs choose.",
  text:
    '`"auto"`: a text part is made of `html_body`, which then has at most 262,144 characters. Not ' +
    "together with `body`.",
  scheduled_at:
    "When to send: RFC 3339 with an offset or Z. Left out: as soon as possible. A time more than " +
    "60 s past, one without an offset, and null are refused.",
  local_time:
    "Instead of `scheduled_at`: what a clock in `timezone` shows then, such as `2027-03-28T02:30`.",
  timezone: "Of `local_time`: a name of the IANA time zone database, such as `Europe/Berlin`.",
  dst:
    "What a `local_time` means that clocks skip (`gap`: `later`, the default, `earlier`, `reject`) " +
    "or show twice (`overlap`: `first`, the default, `second`, `reject`).",
  expires_at: "After this time it is too late; see `on_late`. Not together with `max_lateness`.",
  max_lateness: "How many seconds after `scheduled_at` it is too late; see `on_late`.",
  max_retries:
    "How often it is tried again after a temporary failure, 0 to 20. Default 3; the waits are 1, " +
    "2, 4 … minutes.",
  max_age: "Seconds after `scheduled_at` at which it is given up. Default: 4 days.",
  on_late:
    "What happens when it is too late: `send` it all the same, `drop` it (default when there is an " +
    "end), or `hold` it for a person.",
  on_uncertain:
    "What happens when the connection is lost before the server's reply: `retry` (default; the " +
    "mail may come twice), or `hold` it for a person.",
  attachments:
    "At most 20 files, 25 MB together when decoded: `filename`, `content` in base64, " +
    "`contentType`, and `content_id` for pictures that the HTML shows by `cid:`.",
  headers:
    "Headers of your own: `X-*`, `List-*`, `References`, `In-Reply-To`, `Auto-Submitted`, " +
    "`Precedence`, `Importance`.",
  tags: "At most 10 words of 1 to 64 ASCII characters, to find and cancel emails by. Stored in clear.",
  metadata: "An object of at most 16 KiB, to find emails by. Stored in clear, answered as given.",
  region: "The region that sends it. Default: the one that accepts it.",
  individual:
    "`true`: one email to each of `recipients`, who do not see each other; answered as a batch is. " +
    "Not together with `cc` and `bcc`, and not within a batch.",
  raw:
    "A finished message in base64, instead of `subject`, `body` and `html_body`: sent byte for byte, " +
    "for signed and encrypted mail. A Date is added when it has none, a Bcc removed; what SMTP " +
    "forbids is refused. The envelope is of the other fields; its From must be permitted, too.",
  list_unsubscribe: "Unsubscribe headers: not supported yet.",
};
