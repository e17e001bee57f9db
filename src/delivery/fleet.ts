import type { Config } from "../config.ts";
import type { Logger } from "../log.ts";
import { createAnswerWithin } from "../runtime/answer-within.ts";
import type { FleetProcess, FleetStore, ProcessState, TransportState } from "../store/fleet.ts";

/** The state of all processes together; the same in each of them, about two seconds late. */
export interface FleetView {
  /** Living processes that send. */
  senders: number;
  /** Of each of those, every way to send it has. */
  transports: TransportState[];
  /** Why other processes' queues take no jobs, each reason once. */
  otherQueues: string[];
  /** Emails whose outcome other processes cannot write. */
  unsettledByOthers: number;
}

export interface Fleet {
  /** null: the database does not answer. Never rejects. */
  view(): Promise<FleetView | null>;
  /** Tells the others what this process knows; to be called every second. Never rejects. */
  look(): Promise<void>;
}

export interface FleetDeps {
  store: FleetStore;
  workerId: string;
  role: Config["role"];
  own: () => ProcessState;
  log: Logger;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

const timeoutMs = 1_500;
/** A view is kept so long, so that asking for health costs the database nothing. */
const freshMs = 1_000;
/** An unchanged state is written again after this: the row may have been made anew. */
const repeatMs = 10_000;

export function createFleet(deps: FleetDeps): Fleet {
  const { store, log, now = performance.now.bind(performance) } = deps;
  const event = "state of the processes cannot be exchanged; trying again";
  const answerWithin = createAnswerWithin({ timeoutMs, event, log });
  let told = { text: "", at: Number.NEGATIVE_INFINITY };
  let seen: Promise<FleetProcess[] | null> = Promise.resolve(null);
  let seenAt = Number.NEGATIVE_INFINITY;

  return {
    async view() {
      if (now() - seenAt >= freshMs) {
        seenAt = now();
        seen = answerWithin(store.read());
      }
      const processes = await seen;
      return processes === null ? null : viewOf(processes, deps);
    },
    async look() {
      const state = deps.own();
      const text = JSON.stringify(state, withoutAges);
      if (text === told.text && now() - told.at < repeatMs) return;
      if (await answerWithin(store.report(state))) told = { text, at: now() };
    },
  };
}

/** What changes with every message sent is no news, but that the first was: a restart forgets it. */
function withoutAges(name: string, value: unknown): unknown {
  return name === "workedMsAgo" ? value !== null : value;
}

/** Of itself a process knows more than it has told, and that it lives. */
function viewOf(processes: FleetProcess[], { workerId, role, own }: FleetDeps): FleetView {
  const others = processes.filter(({ id }) => id !== workerId);
  const senders = others.filter((process) => process.role !== "api");
  const isSending = role !== "api";
  const queues = others.flatMap(({ state }) => state?.queue ?? []);
  return {
    senders: senders.length + (isSending ? 1 : 0),
    transports: [
      ...(isSending ? own().transports : []),
      ...senders.flatMap(({ state }) => state?.transports ?? []),
    ],
    otherQueues: [...new Set(queues)],
    unsettledByOthers: others.reduce((sum, { state }) => sum + (state?.unsettled ?? 0), 0),
  };
}
