import { afterAll, beforeAll, expect, test } from "bun:test";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import { createLogger } from "../log.ts";
import { type Attempts, createAttempts } from "../store/attempts.ts";
import type { Database } from "../store/database.ts";
import { createEmails, type Emails } from "../store/emails.ts";
import { createHeldClaims } from "../store/held-claims.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import type { DueEmail } from "../store/presence.ts";
import { freshDatabase } from "../testing/fresh-database.ts";
import { adminClaims, newEmail, store } from "../testing/new-email.ts";
import { runOnce } from "../testing/postgres-server.ts";
import { createHoldings } from "./holdings.ts";
import { createSelfAudit } from "./self-audit.ts";

let url: string;
let database: Database;
let emails: Emails;
beforeAll(async () => {
  ({ url } = await freshDatabase());
  database = createPostgresDatabase({ url });
  emails = createEmails(database);
}, 60_000);
afterAll(() => database.close());

/** A worker with an audit whose clock the test sets, and what it has queued. */
function workerOfTest() {
  const workerId = Bun.randomUUIDv7();
  const claimant = { workerId, region: "local", transport: "capture", horizonMs: 600_000 };
  const attempts = createAttempts(database, claimant);
  const clock = { ms: 0 };
  const holdings = createHoldings({ now: () => clock.ms });
  const queued: DueEmail[] = [];
  const audit = createSelfAudit({
    holdings,
    attempts,
    claims: createHeldClaims(database, claimant),
    enqueue: { add: (email) => void queued.push(email) },
    transport: "capture",
    minuteMs: 60_000,
    random: () => 0,
    keyRing: createKeyRing({ current: "ab".repeat(32), old: [] }),
    log: createLogger({ level: "silent" }),
    now: () => clock.ms,
  });
  return { workerId, attempts, holdings, queued, audit, clock };
}

/** Claims one as if it had been so long ago. */
async function claimOne(attempts: Attempts, { agoMs = 4_000, isFenced = false, fields = {} } = {}) {
  const draft = newEmail(fields);
  await store(emails, [draft]);
  const answer = await attempts.claim(draft.id, 1);
  if (answer.kind !== "claimed") throw new Error(answer.kind);
  const { id, token } = answer.email;
  if (isFenced) expect(await attempts.fence(id, token, new Date())).toEqual({ granted: true });
  await runOnce(
    url,
    `update mailer.emails set claimed_at = claimed_at - interval '${agoMs} ms' where id = '${id}'`,
  );
  return { id, token };
}

const read = async (id: string) => {
  const email = await emails.get(id, adminClaims);
  return [email?.status, email?.attemptsSpent];
};

test("a claim that nobody holds is pending again after two looks, and queued", async () => {
  const { attempts, audit, queued, clock } = workerOfTest();
  const { id } = await claimOne(attempts);
  await audit.look();
  expect(await read(id)).toEqual(["sending", 0]);
  clock.ms += 5_000;
  await audit.look();
  expect(await read(id)).toEqual(["pending", 0]);
  expect(queued).toEqual([{ id, wake: 2, delayMs: 0, ownerId: "ada" }]);
  expect(audit.report()).toEqual({ held: 0, returned: 1, uncertain: 0 });
  const entries = (await emails.events(id, adminClaims)) ?? [];
  expect(entries.at(-1)).toMatchObject({
    action: "email.released",
    detail: { status: "pending", reason: "claim_lost" },
  });
  // The job that was queued for it is taken, and a token that somebody may remember is not.
  expect((await attempts.claim(id, 2)).kind).toBe("claimed");
});

test("one whose answer was lost is returned at the first look, however young", async () => {
  const { attempts, audit, holdings } = workerOfTest();
  const { id } = await claimOne(attempts, { agoMs: 0 });
  await audit.look();
  expect(await read(id)).toEqual(["sending", 0]);
  holdings.ask([id]).lose();
  await audit.look();
  expect(await read(id)).toEqual(["pending", 0]);
});

test("a fenced one is uncertain at the first look, by its own policy", async () => {
  const { attempts, audit } = workerOfTest();
  const retried = await claimOne(attempts, { isFenced: true });
  const held = await claimOne(attempts, { isFenced: true, fields: { onUncertain: "hold" } });
  await audit.look();
  expect([await read(retried.id), await read(held.id)]).toEqual([
    ["pending", 1],
    ["uncertain", 1],
  ]);
  expect((await emails.get(retried.id, adminClaims))?.attempts).toMatchObject([
    { outcome: "uncertain" },
  ]);
  expect(audit.report()).toMatchObject({ returned: 0, uncertain: 2 });
});

test("what is held, asked for, or another worker's is left alone", async () => {
  const { attempts, audit, holdings, clock } = workerOfTest();
  const other = workerOfTest();
  const held = await claimOne(attempts, { isFenced: true });
  const asked = await claimOne(attempts);
  const others = await claimOne(other.attempts);
  holdings.hold(held);
  const asking = holdings.ask([asked.id]);
  for (let look = 0; look < 3; look++) {
    await audit.look();
    clock.ms += 5_000;
  }
  for (const { id } of [held, asked, others]) expect(await read(id)).toEqual(["sending", 0]);
  asking.end();
  await audit.look();
  clock.ms += 5_000;
  await audit.look();
  expect(await read(asked.id)).toEqual(["pending", 0]);
});

test("a claim is judged by its token: one that is held under another is nobody's", async () => {
  const { attempts, audit, holdings, clock } = workerOfTest();
  const { id, token } = await claimOne(attempts);
  holdings.hold({ id, token: token + 1 });
  await audit.look();
  clock.ms += 5_000;
  await audit.look();
  expect(await read(id)).toEqual(["pending", 0]);
});

test("a claim that was held again between two looks has to be missed anew", async () => {
  const { attempts, audit, holdings, clock } = workerOfTest();
  const claim = await claimOne(attempts);
  await audit.look();
  const drop = holdings.hold(claim);
  clock.ms += 3_000;
  await audit.look();
  drop();
  clock.ms += 3_000;
  await audit.look();
  expect(await read(claim.id)).toEqual(["sending", 0]);
});

test("one that cannot be settled holds up no other, and is found again", async () => {
  const { attempts, audit } = workerOfTest();
  const [first, second] = [
    await claimOne(attempts, { isFenced: true }),
    await claimOne(attempts, { isFenced: true }),
  ];
  const bad = `check (id <> '${first.id}' or state <> 'pending')`;
  await runOnce(url, `alter table mailer.emails add constraint refused ${bad} not valid`);
  await expect(audit.look()).rejects.toThrow();
  expect([await read(first.id), await read(second.id)]).toEqual([
    ["sending", 0],
    ["pending", 1],
  ]);
  await runOnce(url, "alter table mailer.emails drop constraint refused");
  await audit.look();
  expect(await read(first.id)).toEqual(["pending", 1]);
});

test("a clock that was set back hides no claim", async () => {
  const { attempts, audit, clock } = workerOfTest();
  const { id } = await claimOne(attempts, { agoMs: -3_600_000 });
  await audit.look();
  clock.ms += 5_000;
  await audit.look();
  expect(await read(id)).toEqual(["pending", 0]);
});
