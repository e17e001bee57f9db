import type { SendReport, SmtpReply } from "../email/smtp.ts";
import { sleep } from "../runtime/abortable.ts";
import type { SendRequest, Transport } from "./transport.ts";

/** RFC 2606 reserves `.test`: nobody's mail is ever taken for a part in a play. */
export const outcomeDomain = "outcome.test";

/** Attempts that `deferred@` refuses before it takes the message. */
const deferralsMax = 2;
const slowMs = 10_000;
const rememberedMax = 10_000;

type Part = "sent" | "deferred" | "bounced" | "partial" | "uncertain" | "slow";
const parts: readonly Part[] = ["sent", "deferred", "bounced", "partial", "uncertain", "slow"];

const refused: SmtpReply = { code: 550, enhanced: "5.1.1", text: "No such user (outcome.test)" };
const busy: SmtpReply = { code: 450, enhanced: "4.2.0", text: "Try again later (outcome.test)" };
const unheard = "the connection was lost after the message was sent (outcome.test)";

/**
 * Lets recipients under `outcome.test` play their part, so that an integration can be tried to its
 * end without a mail server: everything else goes to `inner` as it is.
 */
export function createOutcomeTransport(
  inner: Transport,
  {
    wait = (ms, signal) => sleep(ms, signal).catch(() => undefined),
  }: {
    wait?: (ms: number, signal: AbortSignal) => Promise<unknown>;
  } = {},
): Transport {
  /** Attempts that were deferred so far, by email. */
  const deferrals = new Map<string, number>();

  /** The refusal of one recipient; null: it is taken. */
  function refusalOf(part: Part | null, emailId: string): SmtpReply | null {
    if (part === "bounced" || part === "partial") return refused;
    return part === "deferred" && (deferrals.get(emailId) ?? 0) < deferralsMax ? busy : null;
  }

  function noteDeferral(emailId: string): void {
    deferrals.set(emailId, (deferrals.get(emailId) ?? 0) + 1);
    const oldest = deferrals.size > rememberedMax ? deferrals.keys().next().value : undefined;
    if (oldest !== undefined) deferrals.delete(oldest);
  }

  async function send(request: SendRequest): Promise<SendReport> {
    const { emailId, envelope, signal } = request;
    const cast = envelope.recipients.map((recipient) => partOf(recipient.address));
    if (cast.every((part) => part === null)) return await inner.send(request);
    const refusals = envelope.recipients.flatMap(({ position }, index) => {
      const reply = refusalOf(cast[index] ?? null, emailId);
      return reply ? [{ position, reply }] : [];
    });
    if (refusals.some(({ reply }) => reply === busy)) noteDeferral(emailId);
    const isRefused = (position: number) => refusals.some((one) => one.position === position);
    const taken = envelope.recipients.filter(({ position }) => !isRefused(position));
    if (taken.length === 0) return allRefused(refusals, inner.name);
    if (cast.includes("slow")) await wait(slowMs, signal);
    const report = await inner.send({ ...request, envelope: { ...envelope, recipients: taken } });
    const whole = { ...report, recipients: [...report.recipients, ...refusals] };
    const isUnheard = cast.includes("uncertain") && report.fenced;
    return isUnheard ? { ...whole, reply: null, error: unheard } : whole;
  }

  return { name: inner.name, send, close: () => inner.close() };
}

function partOf(address: string): Part | null {
  const at = address.lastIndexOf("@");
  if (address.slice(at + 1).toLowerCase() !== outcomeDomain) return null;
  const name = address.slice(0, at).toLowerCase();
  return parts.find((part) => part === name) ?? null;
}

function allRefused(refusals: SendReport["recipients"], transport: string): SendReport {
  return {
    phase: "rcpt",
    fenced: false,
    messageDate: null,
    reply: refusals.at(-1)?.reply ?? null,
    recipients: refusals,
    error: null,
    withheld: null,
    transport,
  };
}
