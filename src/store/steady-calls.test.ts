import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import pg from "pg";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { type Attempts, createAttempts } from "./attempts.ts";
import { claimsText, partClaims } from "./database.ts";
import { createEmails, type Emails } from "./emails.ts";
import { createPostgresDatabase, type PostgresDatabase } from "./postgres-database.ts";

let url: string;
let database: PostgresDatabase;
let emails: Emails;
let attempts: Attempts;
let other: pg.Client;

beforeAll(async () => {
  ({ url } = await freshDatabase());
  database = createPostgresDatabase({ url });
  emails = createEmails(database);
  const workerId = Bun.randomUUIDv7();
  const place = { region: "local", transport: "smtp.example:25" };
  attempts = createAttempts(database, { workerId, ...place });
  other = new pg.Client({ connectionString: url });
  await other.connect();
}, 60_000);
afterAll(async () => {
  await other?.end();
  await database?.close();
});

async function accepted(count: number): Promise<string[]> {
  const drafts = Array.from({ length: count }, () => newEmail());
  await store(emails, drafts);
  return drafts.map(({ id }) => id);
}

/** While `work` runs, somebody's open transaction has locked the row. */
async function whileLocked<T>(id: string | undefined, work: () => Promise<T>): Promise<T> {
  await other.query("begin");
  await other.query("select 1 from mailer.emails where id = $1 for update", [id]);
  try {
    return await work();
  } finally {
    await other.query("rollback");
  }
}

const due = {
  ...{ region: "local", limit: 100, aheadMs: 0, perOwner: 1_000, holds: {}, after: "" },
  suspects: true,
};
const claimedNow = async (ids: string[]) => {
  const { emails: found } = await attempts.claimDue(due);
  return ids.map((id) => found.some((email) => email.id === id));
};

describe("of emails that are claimed together", () => {
  test("one that is locked is passed over, the others are claimed, and it is next", async () => {
    const ids = await accepted(3);
    const claimed = await whileLocked(ids[1], () => claimedNow(ids));
    expect(claimed).toEqual([true, false, true]);
    expect(await claimedNow(ids)).toEqual([false, true, false]);
  });

  test("a batch of which all are locked does not wait, and says that there is more", async () => {
    const [id] = await accepted(1);
    const batch = await whileLocked(id, () => attempts.claimDue(due));
    expect(batch).toMatchObject({ emails: [], hasMore: true });
    expect(await claimedNow([id ?? ""])).toEqual([true]);
  });
});

describe("of emails that are fenced or settled together", () => {
  async function claimedIds(count: number): Promise<string[]> {
    const ids = await accepted(count);
    expect(await claimedNow(ids)).toEqual(ids.map(() => true));
    return ids;
  }
  const statuses = (outcomes: PromiseSettledResult<unknown>[]) =>
    outcomes.map(({ status }) => status);

  test("a fence that meets a lock is refused alone, and granted once it is free", async () => {
    const ids = await claimedIds(3);
    const fenced = () => Promise.allSettled(ids.map((id) => attempts.fence(id, 1, new Date())));
    const outcomes = await whileLocked(ids[1], fenced);
    expect(statuses(outcomes)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(outcomes[0]).toMatchObject({ value: { granted: true } });
    expect(outcomes[1]).toMatchObject({ reason: { code: "database_unavailable" } });
    expect(await attempts.fence(ids[1] ?? "", 1, new Date())).toEqual({ granted: true });
  });

  test("so is a release", async () => {
    const ids = await claimedIds(3);
    const release = (id = "") => attempts.release({ id, token: 1, reason: "aborted", delayMs: 0 });
    const outcomes = await whileLocked(ids[1], () => Promise.allSettled(ids.map(release)));
    expect(statuses(outcomes)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(await release(ids[1])).toMatchObject({ applied: true });
  });
});

describe("a call under settings of somebody else", () => {
  const settings = ["synchronous_commit", "DateStyle", "IntervalStyle", "TimeZone"];

  /** What the settings are for the rest of a transaction in which a call was made. */
  async function settingsAfterCall(set: string): Promise<unknown[]> {
    await other.query("begin");
    await other.query(set);
    await other.query("select mailer_api.call_as($1, 'clock', '{}')", [
      claimsText(partClaims("ping")),
    ]);
    const columns = settings.map((name) => `current_setting('${name}') as "${name}"`);
    const { rows } = await other.query(`select ${columns.join(", ")}`);
    await other.query("rollback");
    return settings.map((name) => rows[0][name]);
  }

  test("commits durably where synchronous_commit is off, and leaves every other choice", async () => {
    for (const [set, becomes] of [
      ["off", "on"],
      ["local", "local"],
      ["remote_write", "remote_write"],
      ["remote_apply", "remote_apply"],
    ]) {
      expect((await settingsAfterCall(`set local synchronous_commit = ${set}`))[0]).toBe(becomes);
    }
  });

  test("writes instants as text in one way", async () => {
    const odd =
      "set local DateStyle = 'SQL, DMY'; set local IntervalStyle = 'iso_8601'; " +
      "set local TimeZone = 'Asia/Kathmandu'";
    expect((await settingsAfterCall(odd)).slice(1)).toEqual(["ISO, MDY", "postgres", "UTC"]);
  });
});
