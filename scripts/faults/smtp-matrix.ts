import fc from "fast-check";
import type {
  SinkAction,
  SinkContext,
  SinkPhase,
  SinkRule,
} from "../../src/testing/servers/smtp-sink-rules.ts";
import type { World } from "./world.ts";

/** One thing a next hop may do in one phase. */
export interface MatrixCell {
  phase: SinkPhase;
  words: string;
  action: SinkAction;
  /** Silent: it ends only with a deadline of the client. */
  isSlow: boolean;
}

const beforeMail: SinkPhase[] = ["greeting", "ehlo", "starttls", "auth"];
const transaction: SinkPhase[] = ["mail", "rcpt", "data", "dot"];

const refusals = [
  "421 4.3.2 Shutting down",
  "450 4.2.1 Greylisted, try again later",
  "451 4.3.0 Local error",
  "452 4.3.1 Out of storage",
  "500 5.5.2 Syntax error",
  "503 5.5.1 Bad sequence",
  "530 5.7.0 Authentication required",
  "535 5.7.8 Bad credentials",
  "550 5.7.1 Refused",
  "550 4.2.1 Soft, whatever the first digit says",
  "552 5.2.2 Mailbox full",
  "554 5.7.1 Rejected as spam",
  "450-4.7.1 Three lines\n450-4.7.1 say one thing\n450 4.7.1 and end",
  "550-5.7.1 Three lines\n550-5.7.1 say one thing\n550 5.7.1 and end",
  "451",
];
const garbage = [
  "999 What is this",
  "hello?",
  "-",
  "2x0 ok",
  "\u0000\u0001\u0002 binary",
  "x".repeat(3_000),
];
/** A success where another success belongs. At MAIL, RCPT and the dot it would be the right one. */
const misplaced: Partial<Record<SinkPhase, string[]>> = {
  greeting: ["250 ok", "354 go on"],
  ehlo: ["220 ready", "354 go on"],
  starttls: ["250 ok", "354 go on"],
  auth: ["250 ok", "354 go on"],
  mail: ["354 go on"],
  rcpt: ["354 go on"],
  data: ["250 ok", "220 ready"],
  dot: ["354 go on"],
};

function cellsOf(phase: SinkPhase): MatrixCell[] {
  const replies = [...refusals, ...garbage, ...(misplaced[phase] ?? [])];
  const reply = (text: string): MatrixCell => ({
    phase,
    words: JSON.stringify(text.slice(0, 20)),
    action: { do: "reply", text },
    // No reply at all to a client that is still waiting for one.
    isSlow: garbage.includes(text) && beforeMail.includes(phase),
  });
  const closing = { do: "reply_then_drop", text: "421 4.3.2 Closing" } as const;
  return [
    ...replies.map(reply),
    { phase, words: "421 and close", action: closing, isSlow: false },
    { phase, words: "drop", action: { do: "drop" }, isSlow: false },
    { phase, words: "silence", action: { do: "hang" }, isSlow: true },
    { phase, words: "drip", action: { do: "drip", text: "250 drip", everyMs: 400 }, isSlow: true },
  ];
}

/** Every class of reply in every phase, and what needs no reply. */
export const matrixCells: MatrixCell[] = [
  ...[...beforeMail, ...transaction].flatMap(cellsOf),
  { phase: "connect", words: "drop", action: { do: "drop" }, isSlow: false },
  { phase: "tls", words: "handshake dropped", action: { do: "drop" }, isSlow: false },
  {
    phase: "tls",
    words: "handshake answered in clear",
    action: { do: "reply", text: "454 4.7.0 TLS not available" },
    isSlow: false,
  },
  { phase: "tls", words: "handshake silent", action: { do: "hang" }, isSlow: true },
  { phase: "body", words: "drop", action: { do: "drop" }, isSlow: false },
  { phase: "body", words: "silence", action: { do: "hang" }, isSlow: true },
  {
    phase: "body",
    words: "552 and close in the middle",
    action: { do: "reply_then_drop", text: "552 5.3.4 Too large" },
    isSlow: false,
  },
  { phase: "dot", words: "taken, then dropped", action: { do: "accept_then_drop" }, isSlow: false },
  { phase: "dot", words: "taken, then silent", action: { do: "accept_then_hang" }, isSlow: true },
];

export interface MatrixRule {
  readonly rule: SinkRule;
  left(): MatrixCell[];
  done(): number;
}

const isOfTransaction = (phase: SinkPhase) => [...transaction, "body"].includes(phase);

/** The phases before MAIL come once for each connection, so it may not live for long. */
const transactionsMax = 3;

/**
 * Deals the cells out, in an order that chance chose: one to every second connection, one to
 * every second transaction, so that there is always a way through.
 */
export function matrixRule(cells: MatrixCell[], draw: World["draw"], rounds: number): MatrixRule {
  const dealt = Array.from({ length: rounds }, () => cells).flat();
  const shuffled = draw(fc.shuffledSubarray(dealt, { minLength: dealt.length }), 1)[0] ?? [];
  const before = shuffled.filter(({ phase }) => !isOfTransaction(phase));
  const inside = shuffled.filter(({ phase }) => isOfTransaction(phase));
  const open = new Map<number, MatrixCell>();
  let turns = 0;
  let done = 0;

  function deal({ phase, connectionId }: SinkContext): void {
    const from = phase === "connect" ? before : phase === "mail" ? inside : null;
    if (!from) return;
    // A cell whose phase did not come on this connection goes back.
    const unmet = open.get(connectionId);
    if (unmet) (isOfTransaction(unmet.phase) ? inside : before).push(unmet);
    open.delete(connectionId);
    turns += 1;
    const cell = turns % 2 === 0 ? from.shift() : undefined;
    if (cell) open.set(connectionId, cell);
  }

  return {
    rule(context) {
      deal(context);
      const isOld = context.phase === "mail" && context.count > transactionsMax;
      if (isOld && before.length > 0) return { do: "drop" };
      const cell = open.get(context.connectionId);
      if (!cell || cell.phase !== context.phase) return null;
      open.delete(context.connectionId);
      done += 1;
      return cell.action;
    },
    left: () => [...before, ...inside],
    done: () => done,
  };
}
