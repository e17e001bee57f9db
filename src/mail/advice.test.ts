import { expect, test } from "bun:test";
import type { SmtpPhase } from "../email/smtp.ts";
import { adviceFor } from "./advice.ts";

const failed = (phase: SmtpPhase, error: string) => ({ phase, reply: null, error });
const replied = (phase: SmtpPhase, code: number, enhanced: string | null, text: string) => ({
  phase,
  reply: { code, enhanced, text },
  error: null,
});

test("each common fault is told with what to do about it", () => {
  const table: [Parameters<typeof adviceFor>[0], RegExp][] = [
    [failed("connect", "host not found (ENOTFOUND)"), /SMTP_HOST/],
    [failed("connect", "connection refused (ECONNREFUSED)"), /SMTP_PORT/],
    [failed("starttls", "TLS: the certificate is self-signed (X)"), /SMTP_TLS_CA/],
    [failed("starttls", "TLS: the handshake failed (X)"), /SMTP_SECURE/],
    [failed("greeting", "timed out after 30 s"), /firewall/],
    [failed("reply", "connection reset by the server (ECONNRESET)"), /mailbox before you send/],
    [failed("mail", "connection reset by the server (ECONNRESET)"), /safe to try again/],
    [replied("auth", 535, "5.7.8", "bad credentials"), /SMTP_USER and SMTP_PASS/],
    [replied("mail", 530, "5.7.0", "Must issue a STARTTLS command first"), /SMTP_TLS=required/],
    [replied("mail", 530, "5.7.0", "Authentication required"), /Set SMTP_USER/],
    [replied("starttls", 502, "5.5.1", "not available"), /465/],
    [replied("rcpt", 554, "5.7.1", "Relay access denied"), /relay/],
    [replied("rcpt", 451, "4.7.1", "Greylisted, come back"), /Greylisted/],
    [replied("rcpt", 550, "5.1.1", "no such user"), /does not exist/],
    [replied("reply", 552, "5.3.4", "Message size exceeds fixed limit"), /too large/],
    [replied("reply", 550, "5.7.26", "unauthenticated mail"), /SPF/],
    [replied("reply", 250, "2.0.0", "queued"), /accepted the message/],
  ];
  for (const [facts, expected] of table) expect(adviceFor(facts)).toMatch(expected);
});

test("there is always something to say", () => {
  expect(adviceFor({ phase: null, reply: null, error: null })).not.toBe("");
  expect(adviceFor(replied("reply", 599, null, ""))).not.toBe("");
  expect(adviceFor(replied("reply", 499, null, ""))).not.toBe("");
});
