import { expect, test } from "bun:test";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import { AppError } from "../errors.ts";
import { createLogger } from "../log.ts";
import type { Verdict } from "../mail/classify.ts";
import type { Attempts, ClaimedEmail, Settlement } from "../store/attempts.ts";
import { toCallError } from "../store/call-error.ts";
import { createClaimsInMemory } from "./claims-in-memory.ts";
import { createSettling, type SettlingDeps } from "./settling.ts";

const keyRing = createKeyRing({ current: "ab".repeat(32), old: [] });
const ownerId = "ada";

function claimed(id: string): ClaimedEmail {
  return {
    ...{ id, token: 7, attempt: 1, attemptsBefore: 0, maxRetries: 3, maxAgeSeconds: 1_000 },
    ...{ ageMs: 0, dueInMs: 0, expiresInMs: null, onUncertain: "retry" as const, ownerId },
    ...{ wrappedKey: "", sender: "", messageDate: null, messageBytes: 3 },
    ...{ message: new Uint8Array(3), sentBefore: 0, bouncedBefore: 0 },
    recipients: [{ position: 0, address: "" }],
  };
}

const reply = { code: 250, enhanced: "2.0.0", text: "queued as one@example.com" };
const sent: Verdict = {
  kind: "settle",
  outcome: "sent",
  isCounted: true,
  recipients: [{ position: 0, status: "sent", reply }],
  reply,
  error: null,
};

/** A settle that `refuse` may throw for, by the number of the try; and all that was asked. */
function settlingOfTest(refuse: (tries: number, settlement: Settlement) => void) {
  const tries = new Map<string, Settlement[]>();
  const lines: Record<string, unknown>[] = [];
  const claimsInMemory = createClaimsInMemory();
  const attempts = {
    async settle(settlement: Settlement) {
      const asked = [...(tries.get(settlement.id) ?? []), settlement];
      tries.set(settlement.id, asked);
      refuse(asked.length, settlement);
      return { applied: true, state: "sent", attempt: 1, delayMs: null };
    },
  } as unknown as Attempts;
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = createLogger({ level: "info", stream, isForPeople: false });
  const deps = {
    attempts,
    claimsInMemory,
    log,
    keyRing,
    minuteMs: 1,
    random: () => 0,
    transport: "t",
  };
  const settling = createSettling({ ...deps, ticks: { add() {} } } satisfies SettlingDeps, {
    firstPauseMs: 1,
    longestPauseMs: 2,
  });
  const stop = new AbortController();
  const { dataKey } = keyRing.createDataKey("e", ownerId);
  const end = (id = "e") =>
    settling.end({ email: claimed(id), dataKey, verdict: sent }, stop.signal);
  return { settling, claimsInMemory, tries, lines, stop, end };
}

/** As `pg` throws it, and as the drivers turn it into an error of ours. */
const refusal = (code: string) => toCallError(Object.assign(new Error("refused"), { code }));

test.each([
  ["permission denied (42501)", refusal("42501")],
  ["an unknown prepared statement (26000)", refusal("26000")],
  ["a statement that exists already (42P05)", refusal("42P05")],
  ["an internal error of PostgreSQL (XX000)", refusal("XX000")],
  ["a plan that changed its type (0A000)", refusal("0A000")],
  ["a statement too complex (54001)", refusal("54001")],
  ["a check violation (23514)", refusal("23514")],
  ["a database that is down", refusal("57P01")],
  ["a fault of the driver", new TypeError("undefined is not a function")],
  ["an error of ours", new AppError("forbidden", { publicDetail: "no" })],
])("%s does not end a settle: it is repeated until it is written", async (_, error) => {
  const { settling, claimsInMemory, tries, end } = settlingOfTest((count) => {
    if (count < 3) throw error;
  });
  expect(await end()).toEqual({ kind: "repeating" });
  expect([settling.repeating, claimsInMemory.has({ id: "e", token: 7 })]).toEqual([1, true]);
  await settling.idle();
  expect(tries.get("e")).toHaveLength(3);
  expect([settling.repeating, settling.errorCode, claimsInMemory.count]).toEqual([0, null, 0]);
});

test("what is written at once is not held any more", async () => {
  const { settling, claimsInMemory, lines, end } = settlingOfTest(() => {});
  expect(await end()).toMatchObject({ kind: "settled", state: "sent" });
  expect([settling.repeating, claimsInMemory.count, lines]).toEqual([0, 0, []]);
});

test("from the fourth try on nothing of the reply's words is written, and the outcome is", async () => {
  const { settling, tries, end } = settlingOfTest((_, { reply: words, recipients }) => {
    const hasWords = words !== null || recipients.some((one) => one.reply !== null);
    if (hasWords) throw refusal("22P05");
  });
  await end();
  await settling.idle();
  const asked = tries.get("e") ?? [];
  expect(asked).toHaveLength(4);
  expect(asked[2]?.reply).not.toBeNull();
  expect(asked[3]).toEqual({
    ...{ id: "e", token: 7, transport: "t", outcome: "sent", nextState: "sent", retryInMs: null },
    ...{ isCounted: true, smtpCode: 250, enhancedCode: null, reply: null },
    recipients: [{ position: 0, status: "sent", smtpCode: 250, enhancedCode: null, reply: null }],
  });
});

test("a database that is down for long costs nothing of the words", async () => {
  const { settling, tries, end } = settlingOfTest((count) => {
    if (count < 9) throw refusal("57P01");
  });
  await end();
  await settling.idle();
  expect(tries.get("e")?.at(-1)?.reply).not.toBeNull();
});

test.each([
  ["57P01", true],
  // The row was locked, and a check refused: the database is there.
  ["55P03", false],
  ["23514", false],
])(
  "an outcome that %s keeps from being written says that the database is gone: %j",
  async (code, isGone) => {
    const { settling, end } = settlingOfTest((count) => {
      if (count < 3) throw refusal(code);
    });
    expect(settling.isDatabaseGone).toBe(false);
    await end();
    expect(settling.isDatabaseGone).toBe(isGone);
    await settling.idle();
    expect(settling.isDatabaseGone).toBe(false);
  },
);

test("each email says once, with SQLSTATE, that its outcome is not written, and once that it is", async () => {
  const { settling, lines, end } = settlingOfTest((count) => {
    if (count < 6) throw refusal("42501");
  });
  await Promise.all([end("one"), end("two")]);
  expect(settling.errorCode).toBe("42501");
  await settling.idle();
  const told = lines.map(({ level, code, email_id }) => [level, code, email_id]);
  expect(told.sort()).toEqual(
    [
      ["error", "42501", "one"],
      ["error", "42501", "two"],
      ["info", undefined, "one"],
      ["info", undefined, "two"],
    ].sort(),
  );
});

test("while 1,000 outcomes are not written there is no room, and room again once they are", async () => {
  let isRefusing = true;
  const { settling, stop, end } = settlingOfTest(() => {
    if (isRefusing) throw refusal("42501");
  });
  await Promise.all(Array.from({ length: 1_000 }, (_, index) => end(`e${index}`)));
  expect(settling.hasRoom).toBe(false);
  const drain = new AbortController();
  const refused = settling.awaitRoom(drain.signal);
  drain.abort(new Error("draining"));
  await expect(refused).rejects.toThrow("draining");
  const room = settling.awaitRoom(stop.signal);
  isRefusing = false;
  await room;
  await settling.idle();
  expect(settling.hasRoom).toBe(true);
});

test("only the end of the process ends the tries", async () => {
  const { settling, claimsInMemory, stop, end } = settlingOfTest(() => {
    throw refusal("42501");
  });
  await end();
  stop.abort(new Error("out of time"));
  await settling.idle();
  expect([settling.repeating, claimsInMemory.count]).toEqual([0, 0]);
});
