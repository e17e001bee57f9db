import type { SmtpSettings } from "../config.ts";
import type { SmtpReply } from "../email/smtp.ts";
import type { SmtpFailure } from "./smtp-failure.ts";
import type { SmtpTranscript } from "./smtp-transcript.ts";

/** Ways to log in that we can go (RFC 4954), the simplest first. The third only where nothing else is offered. */
const mechanisms = ["PLAIN", "LOGIN", "CRAM-MD5"] as const;

export type Mechanism = (typeof mechanisms)[number];

/**
 * Replies after which another mechanism may still do: 504 and 534 refuse the mechanism, 535 the
 * login; 553 is what some servers say to a PLAIN that they offer and cannot do.
 */
const refusalCodes = new Set([504, 534, 535, 553]);
/** Each refused login may count towards locking the account. */
const triesMax = 2;

/** Which mechanism a next hop's logins go by; one for all connections of a transport. */
export interface LoginChoice {
  /** Those that SMTP_AUTH leaves. */
  readonly allowed: readonly Mechanism[];
  /** In the order of trying; empty: nothing that is offered can be used. */
  candidates(offered: ReadonlySet<string>): Mechanism[];
  /** Whether the next candidate may be tried. */
  refused(mechanism: Mechanism, reply: SmtpReply | null): boolean;
}

export function createLoginChoice({ auth }: Pick<SmtpSettings, "auth">): LoginChoice {
  const allowed = mechanisms.filter((name) => auth === null || name === auth.toUpperCase());
  /** The one refused most often comes last: a server may hang up at its first refusal. */
  const refusals = new Map<Mechanism, number>();
  const refusalsOf = (mechanism: Mechanism) => refusals.get(mechanism) ?? 0;

  return {
    allowed,
    candidates(offered) {
      return allowed
        .filter((name) => offered.has(name))
        .sort((a, b) => refusalsOf(a) - refusalsOf(b))
        .slice(0, triesMax);
    },
    refused(mechanism, reply) {
      const isRefusal = reply !== null && refusalCodes.has(reply.code);
      if (isRefusal) refusals.set(mechanism, refusalsOf(mechanism) + 1);
      return isRefusal;
    },
  };
}

/**
 * Logs in by what the server offers. `tryBy` answers null when the connection has ended meanwhile.
 * Null: logged in; else why not, and nothing more is to be said over this connection.
 */
export async function logIn(
  transcript: SmtpTranscript,
  choice: LoginChoice,
  tryBy: (mechanism: Mechanism) => Promise<boolean | null>,
): Promise<SmtpFailure | null> {
  const offered = transcript.announced.mechanisms;
  const candidates = choice.candidates(offered);
  if (candidates.length === 0) {
    const refusal = noMechanism(offered, choice.allowed);
    return { words: refusal.text, isTls: false, refusal };
  }
  for (const mechanism of candidates) {
    const isIn = await tryBy(mechanism);
    if (isIn) return null;
    // The last reply is that of the mechanism before.
    if (isIn === null) break;
    if (!choice.refused(mechanism, transcript.lastReply)) break;
  }
  return { words: "the login failed", isTls: false };
}

/** Said in the server's place: so it would refuse each of ours (RFC 4954 section 4). */
function noMechanism(offered: ReadonlySet<string>, allowed: readonly Mechanism[]): SmtpReply {
  const theirs = [...offered].slice(0, 10).join(", ") || "no mechanism";
  const text = `the server offers ${theirs} for AUTH, and this program may use ${allowed.join(", ")} only`;
  return { code: 504, enhanced: "5.5.4", text };
}
