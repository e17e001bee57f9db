import { expect, test } from "bun:test";
import type { SendReport, SmtpPhase } from "../email/smtp.ts";
import { adviceFor } from "./advice.ts";
import { classify } from "./classify.ts";
import { concernOf } from "./reply-concern.ts";
import { parseReply } from "./smtp-reply.ts";
import { faultWords, transportFaultOf } from "./transport-fault.ts";

/**
 * Replies as servers give them, what they come to, and what a person is told. `everybody's`: the
 * transport's once a second email got it, and until then this one's.
 */
const table: [SmtpPhase, string, string, RegExp][] = [
  // Before MAIL, and what answers MAIL in its place: the transport's.
  [
    "greeting",
    "554 5.7.1 Service unavailable; Client host blocked",
    "transport refused",
    /IP addr/,
  ],
  ["greeting", "421 4.7.0 Error: too many connections", "transport refused", /limits how much/],
  ["auth", "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6", "transport auth", /SMTP_PASS/],
  ["auth", "534 5.7.9 Application-specific password required", "transport auth", /app password/],
  ["auth", "454 4.7.0 Temporary authentication failure", "transport refused", /cannot take|later/],
  ["mail", "530 5.7.0 Must issue a STARTTLS command first", "transport tls_wanted", /SMTP_TLS=req/],
  ["mail", "530 5.7.0 Authentication required", "transport auth", /Set SMTP_USER/],
  ["mail", "530 5.7.57 Client not authenticated to send mail", "transport auth", /Set SMTP_USER/],
  // About the server, its limits, or the account.
  ["mail", "452 4.3.1 Insufficient system storage", "everybody's", /server itself/],
  ["mail", "451 4.3.5 Server configuration error", "everybody's", /server itself/],
  ["mail", "450 4.7.1 Error: too much mail from 192.0.2.9", "everybody's", /limits how much/],
  ["mail", "421 4.7.28 Gmail has detected an unusual rate; rate limited", "everybody's", /limits/],
  ["mail", "450 4.1.8 <a@b.test>: Sender address rejected: Domain not found", "everybody's", /MX/],
  ["mail", "550 5.7.1 Account suspended", "everybody's", /blocked the account/],
  ["rcpt", "451 4.3.0 <x@y.test>: Temporary lookup failure", "everybody's", /server itself/],
  ["data", "451 4.3.0 Error: queue file write error", "everybody's", /server itself/],
  ["reply", "451 4.3.0 Local error in processing", "everybody's", /server itself/],
  ["reply", "454 Throttling failure: Daily message quota exceeded.", "everybody's", /limits/],
  ["reply", "454 Throttling failure: Maximum sending rate exceeded.", "everybody's", /limits/],
  ["reply", "421 4.3.2 System not accepting network messages", "everybody's", /server itself/],
  // About the sender.
  [
    "mail",
    "553 5.1.8 <a@b.test>: Sender address rejected: Domain not found",
    "sender's",
    /SMTP_FR/,
  ],
  ["mail", "501 5.1.7 Bad sender address syntax", "sender's", /SMTP_FROM/],
  // About a recipient, for now.
  ["rcpt", "450 4.2.0 <x@y.test>: Greylisted, see postgrey.example", "deferred", /^Greylisted/],
  ["rcpt", "451 4.7.1 Greylisting in action, please come back later", "deferred", /^Greylisted/],
  ["rcpt", "452 4.2.2 The email account is over quota", "deferred", /mailbox is full/],
  ["rcpt", "450 4.1.1 <x@y.test>: unverified address", "deferred", /cannot take/],
  ["rcpt", "452 4.5.3 Error: too many recipients", "deferred", /fewer recipients/],
  ["rcpt", "450 5.1.1 User unknown", "deferred", /cannot take/],
  // For good.
  [
    "rcpt",
    "550 5.1.1 <x@y.test>: Recipient address rejected: User unknown",
    "bounced",
    /not exist/,
  ],
  ["rcpt", "550 No such user here", "bounced", /not exist/],
  ["rcpt", "552 5.2.2 Over quota", "bounced", /mailbox is full/],
  ["rcpt", "554 5.7.1 <x@y.test>: Relay access denied", "bounced", /relay/],
  [
    "rcpt",
    "554 5.7.1 <x@y.test>: Recipient address rejected: Access denied",
    "bounced",
    /logged in/,
  ],
  ["rcpt", "550 5.7.1 Service unavailable, host blocked using Spamhaus", "bounced", /blocklist/],
  ["mail", "552 5.3.4 Message size exceeds fixed limit", "bounced", /too large/],
  ["reply", "552 5.3.4 Message size exceeds fixed limit", "bounced", /too large/],
  ["reply", "550 5.7.26 This mail has been blocked: SPF and DKIM did not pass", "bounced", /SPF/],
  ["reply", "550 5.7.1 Message rejected due to content restrictions", "bounced", /policy/],
  ["reply", "554 5.6.0 Message contains bare newline", "bounced", /for good/],
  ["reply", "550 4.7.1 Try again, whatever the first digit says", "deferred", /cannot take/],
  ["reply", "250 2.0.0 Ok: queued as 4F1C", "sent", /accepted the message/],
];

function reportOf(phase: SmtpPhase, raw: string): SendReport {
  const reply = parseReply(raw);
  if (!reply) throw new Error(`not a reply: ${raw}`);
  const ok = { code: 250, enhanced: null, text: "ok" };
  const isBehind = phase === "data" || phase === "reply";
  const recipients =
    isBehind || phase === "rcpt" ? [{ position: 0, reply: isBehind ? ok : reply }] : [];
  const rest = { messageDate: null, error: null, withheld: null, transport: "smtp.example.com:25" };
  return { phase, reply, recipients, fenced: phase === "reply", ...rest };
}

function wordFor(report: SendReport): string {
  const fault = transportFaultOf(report);
  if (fault) return `transport ${fault.reason}`;
  const concern = concernOf(report);
  if (concern === "pipe" || concern === "account") return "everybody's";
  const envelope = { from: "s@example.com", recipients: [{ position: 0, address: "x@y.test" }] };
  const verdict = classify(report, envelope);
  if (verdict.kind === "release") return verdict.reason === "sender_refused" ? "sender's" : "?";
  return verdict.kind === "settle" ? verdict.outcome : verdict.kind;
}

test.each(table)("%s %s is %s", (phase, raw, verdict, advice) => {
  const report = reportOf(phase, raw);
  expect(wordFor(report)).toBe(verdict);
  expect(adviceFor(report)).toMatch(advice);
  const isPromised = /tried again/.test(adviceFor(report));
  expect(isPromised && /bounced|sent$/.test(verdict)).toBe(false);
  // A test email is not tried again.
  expect(adviceFor({ ...report, isFinal: true })).not.toMatch(/tried again/);
});

test("a server that offers a login lets nobody in without one, until a mail went through", () => {
  const replies: [SmtpPhase, string][] = [
    ["rcpt", "554 5.7.1 <x@y.test>: Recipient address rejected: Access denied"],
    ["rcpt", "554 5.7.1 <x@y.test>: Relay access denied"],
    ["mail", "550 5.7.1 Authentication required"],
    ["mail", "530 5.7.0 Authentication required"],
  ];
  for (const [phase, raw] of replies) {
    const report = { ...reportOf(phase, raw), isLoginMissing: true };
    const fault = transportFaultOf(report, { hasWorked: false });
    expect(fault).toMatchObject({ reason: "login_wanted", pauseMs: 30_000 });
  }
  const [phase, raw] = replies[0] ?? ["rcpt", ""];
  const denied = reportOf(phase, raw);
  expect(transportFaultOf({ ...denied, isLoginMissing: true }, { hasWorked: true })).toBeNull();
  expect(transportFaultOf(denied, { hasWorked: false })).toBeNull();
  const unknown = reportOf("rcpt", "550 5.1.1 User unknown");
  expect(transportFaultOf({ ...unknown, isLoginMissing: true }, { hasWorked: false })).toBeNull();
});

test("a fault's words name the setting to change", () => {
  expect(faultWords.tls_wanted).toContain("SMTP_TLS=required");
  expect(faultWords.login_wanted).toContain("SMTP_USER");
  expect(faultWords.tls_wanted).not.toContain("SMTP_PASS");
});
