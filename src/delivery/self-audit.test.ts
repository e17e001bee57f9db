import { afterAll, beforeAll, expect, test } from "bun:test";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import { createLogger } from "../log.ts";
import type { DueSoon } from "../queue/ticks.ts";
import { type Attempts, createAttempts } from "../store/attempts.ts";
import type { Database } from "../store/database.ts";
import { createEmails, type Emails } from "../store/emails.ts";
import { createHeldClaims } from "../store/held-claims.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { claimedOne } from "../testing/fixtures/claim-one.ts";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";
import { createClaimsInMemory } from "./claims-in-memory.ts";
import { createSelfAudit } from "./self-audit.ts";
import type { Vouching } from "./vouching.ts";

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
  const claimant = { workerId, region: "local", transport: "capture" };
  const attempts = createAttempts(database, claimant);
  const clock = { ms: 0 };
  const claimsInMemory = createClaimsInMemory({ now: () => clock.ms });
  const told: DueSoon[] = [];
  const vouching: Pick<Vouching, "knows" | "write"> = { knows: () => false, write: async () => {} };
  const audit = createSelfAudit({
    claimsInMemory,
    attempts,
    claims: createHeldClaims(database, claimant),
    vouching,
    ticks: { add: (due) => void told.push(due) },
    transport: "capture",
    minuteMs: 60_000,
    random: () => 0,
    keyRing: createKeyRing({ current: "ab".repeat(32), old: [] }),
    log: createLogger({ level: "silent" }),
    now: () => clock.ms,
  });
  return { workerId, attempts, claimsInMemory, vouching, told, audit, clock };
}

/** Claims one as if it had been so long ago. */
async function claimOne(attempts: Attempts, { agoMs = 4_000, isFenced = false, fields = {} } = {}) {
  const draft = newEmail(fields);
  await store(emails, [draft]);
  const { id, token } = await claimedOne(database, attempts, draft.id);
  if (isFenced) expect(await attempts.fence(id, token, new Date())).toEqual({ granted: true });
  await runOnce(
    url,
    `update mailer.emails set claimed_at = claimed_at - interval '${agoMs} ms' where id = '${id}'`,
  );
  return { id, token };
}

/** Whether the database says that it is claimed, and its attempts so far. */
const read = async (id: string) => {
  const [row] = await runOnce(url, `select state, attempts from mailer.emails where id = '${id}'`);
  return [row?.state, Number(row?.attempts)];
};

test("a claim that nobody holds is pending again after two looks, and said to be due", async () => {
  const { attempts, audit, told, clock } = workerOfTest();
  const { id } = await claimOne(attempts);
  await audit.look();
  expect(await read(id)).toEqual(["sending", 0]);
  clock.ms += 5_000;
  await audit.look();
  expect(await read(id)).toEqual(["pending", 0]);
  expect(told).toEqual([{ delayMs: 0 }]);
  expect(audit.report()).toEqual({ held: 0, returned: 1, uncertain: 0 });
  const [entry] = await runOnce(
    url,
    `select action, detail from mailer.journal where email_id = '${id}' order by id desc limit 1`,
  );
  expect(entry).toMatchObject({
    action: "claim.returned",
    detail: { status: "pending", reason: "claim_lost" },
  });
  await claimedOne(database, attempts, id);
});

test("one whose answer was lost is returned at the first look, however young", async () => {
  const { attempts, audit, claimsInMemory } = workerOfTest();
  const { id } = await claimOne(attempts, { agoMs: 0 });
  await audit.look();
  expect(await read(id)).toEqual(["sending", 0]);
  claimsInMemory.ask([id]).lose();
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

test("one whose outcome is known here is written again, and not returned or uncertain", async () => {
  const { attempts, audit, vouching, clock } = workerOfTest();
  const claims = [await claimOne(attempts), await claimOne(attempts, { isFenced: true })];
  const written: string[] = [];
  vouching.knows = ({ id }) => claims.some((claim) => claim.id === id);
  vouching.write = async (again) => void written.push(...again.map(({ id }) => id));
  await audit.look();
  clock.ms += 5_000;
  await audit.look();
  expect(new Set(written)).toEqual(new Set(claims.map(({ id }) => id)));
  for (const { id } of claims) expect(await read(id)).toEqual(["sending", 0]);
});

test("what is held, asked for, or another worker's is left alone", async () => {
  const { attempts, audit, claimsInMemory, clock } = workerOfTest();
  const other = workerOfTest();
  const held = await claimOne(attempts, { isFenced: true });
  const asked = await claimOne(attempts);
  const others = await claimOne(other.attempts);
  claimsInMemory.keep(held);
  const asking = claimsInMemory.ask([asked.id]);
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
  const { attempts, audit, claimsInMemory, clock } = workerOfTest();
  const { id, token } = await claimOne(attempts);
  claimsInMemory.keep({ id, token: token + 1 });
  await audit.look();
  clock.ms += 5_000;
  await audit.look();
  expect(await read(id)).toEqual(["pending", 0]);
});

test("a claim that was held again between two looks has to be missed anew", async () => {
  const { attempts, audit, claimsInMemory, clock } = workerOfTest();
  const claim = await claimOne(attempts);
  await audit.look();
  const drop = claimsInMemory.keep(claim);
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
