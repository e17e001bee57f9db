import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AppError } from "../errors.ts";
import { createLogger } from "../log.ts";
import {
  type Attempts,
  createAttempts,
  type DueRequest,
  type Settlement,
} from "../store/attempts.ts";
import type { Database } from "../store/database.ts";
import { createEmails } from "../store/emails.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { createVouches, type Vouched, type Vouches } from "../store/vouches.ts";
import { claimedOne } from "../testing/fixtures/claim-one.ts";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { failOver } from "../testing/servers/fail-over.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { createClaimsInMemory } from "./claims-in-memory.ts";
import { createVouching } from "./vouching.ts";

const messageDate = new Date("2026-11-24T03:00:00Z");
const first = { id: "1", token: 5 };
const second = { id: "2", token: 7 };
const asked: DueRequest = {
  ...{ region: "local", limit: 1, aheadMs: 0, perOwner: 1, holds: {}, after: "", suspects: false },
};
const log = createLogger({ level: "silent" });

const sent = ({ id, token }: { id: string; token: number }): Settlement => ({
  ...{ id, token, transport: "sink", outcome: "sent", nextState: "sent", retryInMs: null },
  ...{ smtpCode: 250, enhancedCode: null, reply: "ciphertext" },
  recipients: [{ position: 0, status: "sent", smtpCode: 250, enhancedCode: null, reply: null }],
});

/** A worker whose database takes everything, and what passed, in order. */
function workerOfTest() {
  const passed: string[] = [];
  const written: Vouched[] = [];
  const refusals: { of: (item: Vouched) => unknown } = { of: () => null };
  const clock = { ms: 0 };
  const nothing = { emails: [], isPaused: false, pausedOwners: [], hasMore: false };
  const attempts: Attempts = {
    claimDue: async ({ timeline }) => {
      passed.push(`claim under ${timeline}`);
      return { ...nothing, after: "", nextDueInMs: null };
    },
    findRevoked: async () => [],
    readMessage: async () => null,
    fence: async (id) => {
      passed.push(`fence ${id}`);
      return { granted: true };
    },
    settle: async ({ id }) => {
      passed.push(`settle ${id}`);
      return { applied: true, state: "sent", attempt: 1, delayMs: null };
    },
    release: async () => ({ applied: true, delayMs: 0 }),
  };
  const vouches: Vouches = {
    async write(items) {
      for (const item of items) {
        const refusal = refusals.of(item);
        if (refusal) throw refusal;
      }
      passed.push(`vouch ${items.map(({ id }) => id)}`);
      written.push(...items);
      return items.map(({ settlement }) => ({
        ...{ isAgain: true, isThere: true },
        settled: settlement && { applied: true, state: "sent", attempt: 1, delayMs: null },
      }));
    },
  };
  const claimsInMemory = createClaimsInMemory();
  const vouching = createVouching({
    ...{ attempts, vouches, claimsInMemory, log },
    returnBuffered: async () => void passed.push("buffer returned"),
    now: () => clock.ms,
  });
  vouching.heard("1");
  return {
    vouching,
    attempts: vouching.attempts,
    claimsInMemory,
    passed,
    written,
    refusals,
    clock,
  };
}

describe("a new timeline", () => {
  test("is vouched under once what was sent before is written, with and without its end", async () => {
    const { vouching, attempts, passed, written } = workerOfTest();
    await attempts.fence(first.id, first.token, messageDate);
    await attempts.settle(sent(first));
    await attempts.fence(second.id, second.token, messageDate);
    vouching.heard("2");
    expect(vouching.timeline).toBe("1");
    await attempts.claimDue(asked);
    await vouching.idle();
    await attempts.claimDue(asked);
    expect(vouching.timeline).toBe("2");
    expect(passed.slice(3)).toEqual([
      ...["buffer returned", "claim under 1", "vouch 2,1", "claim under 2"],
    ]);
    expect(written).toMatchObject([
      { ...second, messageDate, settlement: null },
      { ...first, messageDate, settlement: { outcome: "sent", next_state: "sent", reply: null } },
    ]);
    vouching.heard("2");
    await vouching.idle();
    expect(written).toHaveLength(2);
  });

  test("that is the first asks for nothing, and so does one that cannot be told", async () => {
    const { vouching, attempts, written } = workerOfTest();
    await attempts.fence(first.id, first.token, messageDate);
    vouching.heard(null);
    vouching.heard("1");
    await vouching.idle();
    expect([written, vouching.timeline]).toEqual([[], "1"]);
  });

  test("fences nothing that was claimed before, since others may have been granted it", async () => {
    const { vouching, attempts, claimsInMemory, passed } = workerOfTest();
    claimsInMemory.keep(first);
    vouching.heard("2");
    await vouching.idle();
    claimsInMemory.keep(second);
    expect(await attempts.fence(first.id, first.token, messageDate)).toEqual({
      ...{ granted: false, reason: "fence_failed" },
    });
    expect(await attempts.fence(second.id, second.token, messageDate)).toEqual({ granted: true });
    expect(passed).not.toContain("fence 1");
  });

  test("waits for fences that are asked for, and writes those that were granted", async () => {
    const { vouching, attempts, written } = workerOfTest();
    const fencing = attempts.fence(first.id, first.token, messageDate);
    vouching.heard("2");
    await Promise.all([vouching.idle(), fencing]);
    expect(written).toMatchObject([first]);
  });

  test("an outcome that comes later is written with its fence and in its words", async () => {
    const { vouching, attempts, refusals, passed, written } = workerOfTest();
    await attempts.fence(first.id, first.token, messageDate);
    refusals.of = () => new AppError("database_unavailable", { publicDetail: "gone" });
    vouching.heard("2");
    await vouching.idle();
    refusals.of = () => null;
    expect(await attempts.settle(sent(first))).toMatchObject({ applied: true, state: "sent" });
    expect(passed).not.toContain("settle 1");
    expect(written).toMatchObject([{ ...first, settlement: { reply: "ciphertext" } }]);
  });

  test("is asked for again by the next beat when the database was not there", async () => {
    const { vouching, attempts, refusals, written } = workerOfTest();
    await attempts.fence(first.id, first.token, messageDate);
    refusals.of = () => new AppError("database_unavailable", { publicDetail: "gone" });
    for (let beat = 0; beat < 9; beat++) {
      vouching.heard("2");
      await vouching.idle();
    }
    expect(vouching.timeline).toBe("1");
    refusals.of = () => null;
    vouching.heard("2");
    await vouching.idle();
    expect([vouching.timeline, written]).toMatchObject(["2", [first]]);
  });

  test("one outcome that is refused holds up no other, and is given up after five tries", async () => {
    const { vouching, attempts, refusals, written } = workerOfTest();
    for (const { id, token } of [first, second]) await attempts.fence(id, token, messageDate);
    refusals.of = ({ id }) => (id === first.id ? new Error("refused") : null);
    for (let beat = 0; beat < 4; beat++) {
      vouching.heard("2");
      await vouching.idle();
    }
    expect(vouching.timeline).toBe("1");
    expect(written[0]).toMatchObject(second);
    vouching.heard("2");
    await vouching.idle();
    expect(vouching.timeline).toBe("2");
  });
});

test("what was returned after its fence is not vouched for: no body was sent", async () => {
  const { vouching, attempts, written } = workerOfTest();
  await attempts.fence(first.id, first.token, messageDate);
  await attempts.release({ ...first, reason: "aborted", delayMs: 0 });
  vouching.heard("2");
  await vouching.idle();
  expect(written).toEqual([]);
});

test("an outcome is known for two minutes from its end", async () => {
  const { vouching, attempts, clock } = workerOfTest();
  await attempts.fence(first.id, first.token, messageDate);
  await attempts.fence(second.id, second.token, messageDate);
  expect(vouching.knows(first)).toBe(false);
  await attempts.settle(sent(first));
  clock.ms += 120_001;
  expect(vouching.knows(first)).toBe(true);
  await attempts.settle(sent(second));
  expect([vouching.knows(first), vouching.knows(second)]).toEqual([false, true]);
});

describe("on a database that lost its last moments", () => {
  let database: Database;
  let sql: DirectSql;
  beforeAll(async () => {
    const { url } = await freshDatabase();
    database = createPostgresDatabase({ url });
    sql = await directSql(database);
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await database.close();
  });

  test("what was sent is sent, what awaits its reply ends when it comes, and neither goes out twice", async () => {
    const emails = createEmails(database);
    const drafts = [newEmail(), newEmail()];
    await store(emails, drafts);
    const claimant = { workerId: Bun.randomUUIDv7(), region: "local", transport: "sink" };
    const vouching = createVouching({
      attempts: createAttempts(database, claimant),
      vouches: createVouches(database, claimant),
      ...{ claimsInMemory: createClaimsInMemory(), returnBuffered: async () => {}, log },
    });
    vouching.heard("00000001");
    const { attempts } = vouching;
    const claims: { id: string; token: number }[] = [];
    await failOver(sql, "00000002", async () => {
      for (const { id } of drafts) {
        const claim = await claimedOne(database, attempts, id);
        await attempts.fence(id, claim.token, messageDate);
        claims.push(claim);
      }
      for (const claim of claims.slice(0, 1)) await attempts.settle(sent(claim));
    });
    vouching.heard("00000002");
    await vouching.idle();
    const statuses = async () => {
      const found = await Promise.all(drafts.map(({ id }) => emails.get(id, adminClaims)));
      return found.map((email) => email?.status);
    };
    expect(await statuses()).toEqual(["sent", "sending"]);
    expect((await attempts.claimDue({ ...asked, limit: 10 })).emails).toEqual([]);
    for (const claim of claims) await attempts.settle(sent(claim));
    expect(await statuses()).toEqual(["sent", "sent"]);
  });
});
