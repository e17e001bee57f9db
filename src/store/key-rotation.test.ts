import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  adminClaims,
  newEmail,
  scheduleRequest,
  store,
  userClaims,
} from "../testing/fixtures/new-email.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { createEmails, type Emails } from "./emails.ts";
import { createKeyRotation, type KeyRotation, type Rewrap } from "./key-rotation.ts";
import { createPresence } from "./presence.ts";
import { createWebhooks } from "./webhooks.ts";

setDefaultTimeout(120_000);

const wrapped = (key: string) => `v1.${key}.nonce.${crypto.randomUUID()}`;

describe.each(drivers)("a change of keys on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  let emails: Emails;
  let rotation: KeyRotation;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    emails = createEmails(opened.database);
    rotation = createKeyRotation(opened.database, { batch: 2 });
  });
  afterAll(async () => {
    await sql?.close();
    await opened?.close();
  });

  const rewrapOf = (email: { id: string; version: number; wrappedKey: string | null }): Rewrap => ({
    id: email.id,
    version: email.version,
    oldKey: email.wrappedKey ?? "",
    newKey: wrapped("new"),
    addressIndexes: [{ position: 0, addressIndex: `new-index-${email.id}` }],
    failure: { oldGroup: "g", newGroup: "h", oldDomain: null, newDomain: null },
  });
  const keyOf = async (id: string) => (await emails.get(id, adminClaims))?.wrappedKey;

  test("emails under another key are found a page at a time, and no longer once rewrapped", async () => {
    const drafts = Array.from({ length: 5 }, (_, n) =>
      newEmail({ wrappedKey: wrapped(n === 2 ? "new" : "old") }),
    );
    await store(emails, drafts);
    const found: string[] = [];
    let after: string | null = null;
    do {
      const page = await rotation.staleEmails("new", after);
      expect(page.rows.length).toBeLessThanOrEqual(2);
      found.push(...page.rows.map(({ id }) => id));
      expect(await rotation.rewrap(page.rows.map(rewrapOf))).toBe(page.rows.length);
      after = page.last;
    } while (after !== null);
    expect(found).toEqual(drafts.filter((_, n) => n !== 2).map(({ id }) => id));
    expect((await rotation.staleEmails("new", null)).rows).toEqual([]);
    const [row] = await sql.query("select * from mailer.recipients where email_id = $1", [
      found[0],
    ]);
    expect(row).toMatchObject({ address: "address-0", address_index: `new-index-${found[0]}` });
  });

  test("one that was changed since it was read is left alone, and found again", async () => {
    const [moved, edited] = [wrapped("old"), wrapped("old")].map((wrappedKey) =>
      newEmail({ wrappedKey }),
    );
    if (!moved || !edited) throw new Error("two emails");
    await store(emails, [moved, edited]);
    const { rows } = await rotation.staleEmails("new", null);
    const items = rows.map(rewrapOf);
    await emails.cancel(edited.id, userClaims("ada"), null);
    expect(await rotation.rewrap(items)).toBe(1);
    // Again, as after an answer that was lost: nothing more happens.
    expect(await rotation.rewrap(items)).toBe(0);
    expect(await keyOf(edited.id)).toBe(edited.wrappedKey);
    expect((await rotation.staleEmails("new", null)).rows.map(({ id }) => id)).toEqual([edited.id]);
    await rotation.rewrap((await rotation.staleEmails("new", null)).rows.map(rewrapOf));
  });

  test("kept answers likewise, and how many rows each key opens", async () => {
    for (const key of ["one", "two", "three"]) {
      const answer = { path: "/p", key, fingerprint: "f", response: `v1.old.nonce.${key}` };
      await emails.keepIdempotent("ada", answer);
    }
    expect((await rotation.inUse()).answers).toEqual({ old: 3 });
    const first = await rotation.staleAnswers("new", null);
    expect(first.rows.map(({ key }) => key)).toEqual(["one", "three"]);
    const rest = await rotation.staleAnswers("new", first.last);
    expect([rest.rows.map(({ key }) => key), rest.last]).toEqual([["two"], null]);
    const items = first.rows.map(({ response: old, ...place }, n) => ({
      ...place,
      old: n === 0 ? "v1.old.another" : old,
      new: "v1.new.nonce.x",
    }));
    expect(await rotation.rewriteAnswers(items)).toBe(1);
    const use = await rotation.inUse();
    const counts = { emails: { new: 7 }, answers: { new: 1, old: 2 } };
    expect(use).toEqual({ ...counts, webhooks: {} });
    const endpoint = { isGlobal: false, url: "https://x", description: null, events: ["email.*"] };
    for (const key of ["old", "old", "new"]) {
      const keys = {
        wrappedKey: `v1.${key}.x`,
        secret: "x",
        tags: [],
        isEnabled: true,
        origin: null,
      };
      const webhook = { ...endpoint, ...keys, id: Bun.randomUUIDv7() };
      await createWebhooks(opened.database).create(webhook, userClaims("ada"));
    }
    expect(await rotation.inUse()).toEqual({ ...counts, webhooks: { new: 1, old: 2 } });
  });

  test("a search takes a list of indexes", async () => {
    const [one, two] = ["search-a", "search-b"].map((addressIndex) =>
      newEmail({ recipients: [{ position: 0, kind: "to", address: "x", addressIndex }] }),
    );
    if (!one || !two) throw new Error("two emails");
    await emails.schedule(scheduleRequest([one, two], { ownerId: "searcher" }));
    const filter = { statuses: null, isDeferred: false, tag: null, metadata: null };
    const times = { scheduledAfter: null, scheduledBefore: null };
    const page = { limit: 10, offset: 0, cursor: null };
    const idsOf = async (addressIndex: string | string[]) => {
      const asked = { ...filter, ...times, addressIndex };
      const found = await emails.list(asked, page, userClaims("searcher"));
      return found.emails.map(({ id }) => id).sort();
    };
    expect(await idsOf("search-a")).toEqual([one.id]);
    expect(await idsOf(["search-b", "search-a"])).toEqual([one.id, two.id].sort());
    expect(await idsOf(["neither"])).toEqual([]);
  });

  test("living processes are told by the key they write with; one of an earlier release by none", async () => {
    const process = (workerId: string) =>
      createPresence(opened.database, {
        workerId,
        region: "keys",
        role: "api",
        replyTimeoutMs: 1,
        deadAfterMs: 5_000,
      });
    const named = process(Bun.randomUUIDv7());
    await named.beat();
    await named.checkKey({ currentKeyId: "new", fingerprint: "f", oldFingerprints: [] });
    await process(Bun.randomUUIDv7()).beat();
    expect(await rotation.processes()).toEqual([
      { keyId: "new", count: 1 },
      { keyId: null, count: 1 },
    ]);
    await named.beat();
    await named.stop();
    expect(await rotation.processes()).toEqual([{ keyId: null, count: 1 }]);
  });
});
