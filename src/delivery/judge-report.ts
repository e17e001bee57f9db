import type { Envelope, SendReport } from "../email/smtp.ts";
import { classify, type Verdict } from "../mail/classify.ts";
import type { Judgement, PipeSuspicion } from "../mail/pipe-suspicion.ts";
import { throttledPositions } from "../mail/throttled.ts";
import { type TransportFault, transportFaultOf } from "../mail/transport-fault.ts";
import { sleep } from "../runtime/abortable.ts";
import { domainOf } from "./domain-of.ts";
import type { Pass } from "./limits/breaker.ts";
import type { Destinations } from "./limits/destinations.ts";
import type { RefusedSenders } from "./refused-senders.ts";

export interface JudgeDeps {
  pipe: PipeSuspicion;
  senders: RefusedSenders;
  destinations: Destinations;
  /** Length of the retry schedule's minute. */
  minuteMs: number;
}

/** A conversation that has ended. */
export interface Conversation {
  emailId: string;
  envelope: Envelope;
  report: SendReport;
  pass: Pass;
}

/**
 * A suspect waits this long for a second one before it spends an attempt: where many conversations
 * are under way at once, the second is there in milliseconds. A sixtieth of the minute is 1 s.
 */
const suspectMsMin = 100;

/**
 * What a conversation means: for the transport (the breaker is told), for its sender and its
 * domains, and for the email. Never rejects; `drain` ends its waiting.
 */
export async function judgeReport(
  deps: JudgeDeps,
  conversation: Conversation,
  drain: AbortSignal,
): Promise<Verdict> {
  const { report, envelope, pass } = conversation;
  const tried = envelopeTried(conversation);
  const { fault, showed } = await showedBy(deps, { ...conversation, envelope: tried }, drain);
  pass.leave(fault ?? showed);
  const verdict = classify(report, envelope, fault);
  noteDestinations(deps, tried, report, verdict);
  return noteSender(deps, envelope.from, report, verdict);
}

/** The replies concern the recipients who were tried, and their domains. */
function envelopeTried({ envelope, report }: Conversation): Envelope {
  const { untried = [] } = report;
  if (untried.length === 0) return envelope;
  const recipients = envelope.recipients.filter(({ position }) => !untried.includes(position));
  return { ...envelope, recipients };
}

interface Showed {
  fault: TransportFault | null;
  showed: "works" | "nothing";
}

async function showedBy(
  deps: JudgeDeps,
  { emailId, envelope, report, pass }: Conversation,
  drain: AbortSignal,
): Promise<Showed> {
  const own = transportFaultOf(report, deps.pipe);
  if (own) return { fault: own, showed: "nothing" };
  const { from: sender, recipients } = envelope;
  const domains = recipients.map(domainOf);
  const { isProbe } = pass;
  const judged = deps.pipe.judge({ emailId, sender, domains, report, isProbe });
  switch (judged.kind) {
    case "transport":
      forgive(deps, judged.forgiven);
      return { fault: judged.fault, showed: "nothing" };
    case "suspect":
      return { fault: await sharedFault(deps, judged, drain), showed: "nothing" };
    case "sender":
      return { fault: null, showed: deps.pipe.isRejecting ? "nothing" : "works" };
    case "email": {
      const hasShown = judged.hasShown && report.withheld !== "aborted";
      return { fault: null, showed: hasShown ? "works" : "nothing" };
    }
  }
}

/** Clears the marks of senders and domains: the reply was about the whole transport. */
function forgive(
  { senders, destinations }: JudgeDeps,
  trials: Extract<Judgement, { kind: "transport" }>["forgiven"],
): void {
  for (const { sender, domains } of trials) {
    senders.accept(sender);
    destinations.succeed(domains);
  }
}

async function sharedFault(
  { minuteMs }: JudgeDeps,
  { isShared }: Extract<Judgement, { kind: "suspect" }>,
  drain: AbortSignal,
): Promise<TransportFault | null> {
  const waited = new AbortController();
  const signal = AbortSignal.any([drain, waited.signal]);
  const patience = sleep(Math.max(suspectMsMin, minuteMs / 60), signal).catch(() => undefined);
  const fault = await Promise.race([isShared, patience.then(() => null)]);
  waited.abort();
  return fault;
}

function noteDestinations(
  { destinations }: JudgeDeps,
  envelope: Envelope,
  report: SendReport,
  verdict: Verdict,
): void {
  if (verdict.kind !== "settle") return;
  const sent = verdict.recipients.filter(({ status }) => status === "sent");
  const domainsAt = (positions: number[]) =>
    envelope.recipients.filter(({ position }) => positions.includes(position)).map(domainOf);
  destinations.succeed(domainsAt(sent.map(({ position }) => position)));
  destinations.backOff(domainsAt(throttledPositions(report, envelope)));
}

/** A refused sender's emails come back one at a time; MAIL that was accepted ends that. */
function noteSender(
  { senders }: JudgeDeps,
  sender: string,
  { phase }: SendReport,
  verdict: Verdict,
): Verdict {
  if (verdict.kind === "release" && verdict.reason === "sender_refused") {
    return { ...verdict, delayMs: senders.refuse(sender) };
  }
  if (["rcpt", "data", "fence", "body", "reply"].includes(phase)) senders.accept(sender);
  return verdict;
}
