import { z } from "zod";
import type { EmailDraft } from "../../email/email.ts";
import { adviceFor } from "../../mail/advice.ts";
import type { WholeEmail } from "../../store/stored-email.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { noSuchEmail } from "../request/email-id.ts";
import { addressField } from "../request/field-schemas.ts";
import { idempotencyOf } from "../request/idempotency.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson } from "../request/read-json.ts";
import { invalidContent, toDraft } from "../request/to-draft.ts";
import { emailAnswer } from "./email-answer.ts";

export const testEmailSchema = z.strictObject({ to: addressField });

const waitMsMax = 30_000;
const lookEveryMs = 150;
/** Of so many looks one asks for the transport's fault too. */
const faultEveryLooks = 4;
/** Less than the pause after which a server that refused us is asked again. */
const testAgeSeconds = 29;

/** POST /api/v1/test-email: one real email, no retries; answers when it has ended. */
export function createSendTestEmail(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const startedAt = performance.now();
    // Bun resets a request that is silent for ten seconds.
    c.env?.server?.timeout(c.req.raw, 0);
    const body = await readJson(c, deps);
    const accepted = await deps.accept.accept({
      ownerId: principalOf(c).ownerId,
      origin: deps.peerAddress?.(c) ?? null,
      drafts: [testDraft(body, deps)],
      idempotency: idempotencyOf(c, "/api/v1/test-email", body),
    });
    const id = accepted.emails[0]?.id ?? "";
    c.set("emailId", id);
    if (accepted.isReplay) c.header("Idempotent-Replayed", "true");
    const { email, fault } = await untilEnded(c, deps, id, startedAt + waitMsMax);
    const durationMs = Math.round(performance.now() - startedAt);
    return answer(c, testAnswer(email, deps, { durationMs, fault }));
  };
}

function testDraft(body: unknown, deps: AppDeps): EmailDraft {
  const { fields, faults } = readFields(body, testEmailSchema);
  if (faults.length > 0 || !fields.to) throw invalidContent(faults);
  const asked = {
    recipients: [fields.to],
    subject: "Test email from Taskforce Mailer",
    body:
      "This is a test email. Somebody with access to a Taskforce Mailer asked it to send one " +
      "to this address. That you read it shows that its mail goes out.\n",
    headers: { "Auto-Submitted": "auto-generated" },
    max_retries: 0,
    // A server that refuses us before MAIL FROM costs no attempt, and would be asked for days.
    max_age: testAgeSeconds,
  };
  return toDraft(asked, { config: deps.config, now: deps.now() });
}

interface Ended {
  email: WholeEmail;
  /** Why nobody tries it now, in words: it waits for the transport as all others do. */
  fault: string | null;
}

/**
 * As it stands when it has ended, when time is up, when the caller has gone, or when it waits for a
 * transport whose fault is known.
 */
async function untilEnded(
  c: ApiContext,
  deps: AppDeps,
  id: string,
  deadline: number,
): Promise<Ended> {
  for (let looks = 0; ; looks++) {
    const email = await deps.emails.get(id, claimsOf(c));
    if (!email) throw noSuchEmail();
    const isOver = performance.now() >= deadline || c.req.raw.signal.aborted;
    if (hasEnded(email) || isOver) return { email, fault: null };
    const isWaiting = email.status === "pending" && email.attempts.length === 0;
    // The first looks are too early: it may be the email that finds the fault.
    const fault = isWaiting && looks % faultEveryLooks === faultEveryLooks - 1;
    const words = fault ? await presentFault(deps) : null;
    if (words !== null) return { email, fault: words };
    await Bun.sleep(lookEveryMs);
  }
}

/** As `/health` tells it, with the server's reply; null: the transport works, or nobody knows. */
async function presentFault(deps: AppDeps): Promise<string | null> {
  const { transport } = (await deps.health()).components;
  const detail = transport?.status === "ok" ? null : transport?.detail;
  return typeof detail === "string" ? detail : null;
}

function hasEnded({ status }: WholeEmail): boolean {
  return status !== "pending" && status !== "sending";
}

function testAnswer(
  email: WholeEmail,
  deps: AppDeps,
  { durationMs, fault }: { durationMs: number; fault: string | null },
) {
  const { id, status, attempts } = emailAnswer(email, deps, { withAttempts: true });
  const last = attempts?.at(-1);
  return {
    id,
    status,
    smtp_code: last?.smtp_code ?? null,
    reply: last?.reply ?? null,
    transport: last?.transport ?? null,
    duration_ms: durationMs,
    advice: fault === null ? adviceOn(email, last) : waitsFor(fault),
  };
}

function waitsFor(fault: string): string {
  return `It was not sent: ${fault}. It goes out as soon as the SMTP server takes mail again.`;
}

function adviceOn(
  email: WholeEmail,
  last:
    | { smtp_code: number | null; enhanced_code: string | null; reply: string | null }
    | undefined,
): string {
  if (!last) {
    if (hasEnded(email)) {
      return `The email is ${email.status} without an attempt; its timeline says why.`;
    }
    return email.status === "sending"
      ? "The SMTP server takes longer than this answer may: it was reached or is being reached, " +
          "and has not replied yet. Check SMTP_HOST and SMTP_PORT (is it an SMTP port?) and any " +
          "firewall between; the email's status tells how it ends."
      : "Nobody has tried to send it yet. Look at /health: is a worker running, and does the " +
          "SMTP server let us in? It goes out as soon as it can.";
  }
  const { smtp_code: code, enhanced_code: enhanced, reply: text } = last;
  return adviceFor({
    phase: null,
    reply: code === null ? null : { code, enhanced, text: text ?? "" },
    error: code === null ? (text ?? "no reply") : null,
    isFinal: hasEnded(email),
  });
}
