/** Where a rule may step in. `connect` is before the greeting, `tls` before the handshake. */
export type SinkPhase =
  | "connect"
  | "greeting"
  | "ehlo"
  | "starttls"
  | "tls"
  | "auth"
  | "mail"
  | "rcpt"
  | "data"
  | "body"
  | "dot"
  | "rset"
  | "quit";

/** What a rule is told. */
export interface SinkContext {
  phase: SinkPhase;
  /** The name at `ehlo`, the user at `auth`, the address at `mail` and `rcpt`, the Message-ID at `dot`; else empty. */
  argument: string;
  /** From 1, in the order in which connections were taken. */
  connectionId: number;
  /** How many times this phase was reached on this connection, from 1. */
  count: number;
  isTls: boolean;
  user: string | null;
  envelope: { from: string; recipients: string[] };
}

export type SinkAction =
  /** One reply; lines parted by `\n` become a multi-line reply. */
  | { do: "reply"; text: string }
  | { do: "reply_then_drop"; text: string }
  | { do: "drop" }
  /** Nothing more is ever said on this connection. */
  | { do: "hang" }
  /** One byte of the reply every so often: it defeats timeouts that count inactivity. */
  | { do: "drip"; text: string; everyMs: number }
  /** At `dot`: the message is recorded, but its 250 never goes out. */
  | { do: "accept_then_drop" }
  | { do: "accept_then_hang" }
  /** Waits for the promise, then does the next action; without one it goes on as if there had been no rule. */
  | { do: "wait"; until: Promise<unknown>; next?: SinkAction };

/** Null: no opinion; the next rule is asked, at last the sink's own well-behaved answer. */
export type SinkRule = (context: SinkContext) => SinkAction | null;

/** A rule as plain facts, so that it also fits on a command line. */
export interface ScriptedRule {
  phase: SinkPhase;
  action: SinkAction;
  /** Only for this argument (an address, say). */
  argument?: string;
  /** Only the first so many times. */
  times?: number;
  /** Only on this connection. */
  connectionId?: number;
}

export function scripted(rule: ScriptedRule): SinkRule {
  let left = rule.times ?? Number.POSITIVE_INFINITY;
  return (context) => {
    if (context.phase !== rule.phase || left <= 0) return null;
    if (rule.argument !== undefined && rule.argument !== context.argument) return null;
    if (rule.connectionId !== undefined && rule.connectionId !== context.connectionId) return null;
    left -= 1;
    return rule.action;
  };
}

type Narrowing = Omit<ScriptedRule, "phase" | "action">;

export function replyAt(phase: SinkPhase, text: string, only: Narrowing = {}): SinkRule {
  return scripted({ ...only, phase, action: { do: "reply", text } });
}

export function replyThenDropAt(phase: SinkPhase, text: string, only: Narrowing = {}): SinkRule {
  return scripted({ ...only, phase, action: { do: "reply_then_drop", text } });
}

export function dropAt(phase: SinkPhase, only: Narrowing = {}): SinkRule {
  return scripted({ ...only, phase, action: { do: "drop" } });
}

export function hangAt(phase: SinkPhase, only: Narrowing = {}): SinkRule {
  return scripted({ ...only, phase, action: { do: "hang" } });
}

export function dripAt(phase: SinkPhase, text: string, everyMs: number): SinkRule {
  return scripted({ phase, action: { do: "drip", text, everyMs } });
}

/** Takes the message and loses its answer: the case that makes an attempt uncertain. */
export function acceptThenDrop(only: Narrowing = {}): SinkRule {
  return scripted({ ...only, phase: "dot", action: { do: "accept_then_drop" } });
}

/** Refuses every address the first so many times with a 451, as greylisting does. */
export function greylist(times = 1): SinkRule {
  const seen = new Map<string, number>();
  return ({ phase, argument }) => {
    if (phase !== "rcpt") return null;
    const count = (seen.get(argument) ?? 0) + 1;
    seen.set(argument, count);
    return count > times ? null : { do: "reply", text: "451 4.7.1 Greylisted, try again later" };
  };
}
