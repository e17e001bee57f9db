import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { createKeyRotation, type KeyRotation } from "../store/key-rotation.ts";
import type { EmailFilter } from "../store/stored-email.ts";
import { adminClaims } from "../testing/fixtures/new-email.ts";
import { startTestApi, type TestApi } from "../testing/product/test-api.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { openCurrentEmail } from "./current-email.ts";
import { decryptEmail } from "./decrypt-email.ts";
import { failureIndex } from "./failure-index.ts";
import { readKeptData } from "./kept-answer.ts";
import { rotateKeys } from "./rotate-keys.ts";
import { decryptMessage } from "./stored-message.ts";

setDefaultTimeout(180_000);

let api: TestApi;
let sql: DirectSql;
beforeAll(async () => {
  api = await startTestApi();
  sql = await directSql(api.database);
});
afterAll(async () => {
  await sql?.close();
  await api?.close();
});

// The test API's own key, and two that come after it.
const [first, second, third] = ["ab", "cd", "ef"].map((byte) => byte.repeat(32));
const ringOf = (current = "", ...old: (string | undefined)[]): KeyRing =>
  createKeyRing({ current, old: old.filter((key) => key !== undefined) });

const anyEmail: EmailFilter = {
  statuses: null,
  isDeferred: false,
  tag: null,
  metadata: null,
  addressIndex: null,
  scheduledAfter: null,
  scheduledBefore: null,
};
const refusal = {
  code: 550,
  enhanced: "5.1.1",
  text: "<bob@example.com> is unknown here",
};

/** The email in clear, as far as this ring reads it; throws when it does not read all of it. */
async function readAll(id: string, keyRing: KeyRing) {
  const parts = { details: true, message: true };
  const email = await api.deps.emails.get(id, adminClaims, parts);
  const current = email && openCurrentEmail(email, keyRing);
  if (!email || !current) throw new Error("no such email");
  const { fault, ...decrypted } = decryptEmail(email, keyRing);
  if (fault) throw fault;
  const [row] = await sql.query("select sender from mailer.emails where id = $1", [id]);
  return {
    draft: current.draft,
    decrypted,
    message: Buffer.from(
      decryptMessage(current.dataKey, {
        message: email.message ?? new Uint8Array(),
        messageBytes: email.messageBytes,
      }),
    ),
    sender: current.dataKey.decryptText(String(row?.sender), "sender"),
    version: email.version,
  };
}

async function readEach(ids: string[], keyRing: KeyRing) {
  const all = [];
  for (const id of ids) all.push(await readAll(id, keyRing));
  return all;
}

async function idsFor(address: string, keyRing: KeyRing, search = keyRing.blindIndexes(address)) {
  const filter = { ...anyEmail, addressIndex: search };
  const page = { limit: 100, offset: 0, cursor: null };
  return (await api.deps.emails.list(filter, page, adminClaims)).emails.map(({ id }) => id).sort();
}

test("afterwards the new key alone reads all, finds all, and groups old failures with new ones", async () => {
  const later = { scheduled_at: "2030-01-01T00:00:00Z" };
  const pending = await api.schedule({
    ...later,
    recipients: ["Ann <ann@example.com>", "bob@example.com"],
    cc: ["cy@Example.com"],
    attachments: [{ filename: "a.txt", content: "YQ==", contentType: "text/plain" }],
  });
  const sent = await api.schedule({ recipients: ["dan@example.com"] });
  await api.deliver(sent);
  const failed = await api.schedule();
  await api.deliver(failed, refusal);
  const key = { headers: { "idempotency-key": "key-1" } };
  const kept = await api.schedule({ ...later, subject: "kept" }, key);
  const all = [pending, sent, failed, kept];
  const old = ringOf(first);
  const before = await readEach(all, old);
  const journal = "select count(*) as n, max(id) as last from mailer.journal";
  const journalBefore = await sql.query(journal);

  const both = ringOf(second, first);
  expect(await idsFor("cy@example.com", both)).toEqual([pending]);
  const rotation = createKeyRotation(api.database, { batch: 3 });
  const steps: number[] = [];
  const onProgress = ({ scanned }: { scanned: number }) => void steps.push(scanned);
  const report = await rotateKeys({ rotation, keyRing: both, onProgress });
  expect(report).toMatchObject({ emails: 4, answers: 1, unreadable: 0 });
  expect(steps.length).toBeGreaterThan(2);
  expect(steps).toEqual([...steps].sort((a, b) => a - b));

  const fresh = ringOf(second);
  expect(await readEach(all, fresh)).toEqual(before);
  expect(readAll(pending, old)).rejects.toThrow("ENCRYPTION_KEYS_OLD");
  expect(await idsFor("cy@example.com", fresh)).toEqual([pending]);
  expect(await idsFor("bob@example.com", fresh)).toEqual([pending, failed, kept].sort());
  expect(await idsFor("bob@example.com", old)).toEqual([]);
  expect(await sql.query(journal)).toEqual(journalBefore);

  const said = { smtpCode: 550, enhancedCode: "5.1.1", reply: refusal.text };
  const index = failureIndex(fresh, { ...said, domain: "example.com" });
  const rows = await sql.query("select * from mailer.emails where failure_group is not null");
  expect(rows).toMatchObject([{ failure_group: index.group, failure_domain: index.domain }]);

  const answers = await sql.query("select * from mailer.idempotency_keys");
  const { owner_id, path, response } = answers[0] as Record<string, string>;
  const idempotency = { path: String(path), key: "key-1", fingerprint: "" };
  const answer = { kind: "replayed", response: String(response), createdAt: new Date() } as const;
  const request = { ownerId: String(owner_id), idempotency };
  expect(readKeptData(fresh, request, answer)).toMatchObject({ emails: [{ id: kept }] });

  const again = await rotateKeys({ rotation, keyRing: both });
  expect(again).toMatchObject({ emails: 0, answers: 0, unreadable: 0 });
});

test("an email whose key is lost is named and left alone, and does not hold up the others", async () => {
  const lost = await api.schedule({ recipients: ["lost@example.com"] });
  const lostRing = ringOf("12".repeat(32));
  const { wrappedKey } = lostRing.createDataKey(lost, "ada");
  await sql.query("update mailer.emails set wrapped_key = $1 where id = $2", [wrappedKey, lost]);
  const other = await api.schedule();
  const rotation = createKeyRotation(api.database, { batch: 1 });
  const report = await rotateKeys({ rotation, keyRing: ringOf(second, first) });
  expect(report).toMatchObject({ emails: 1, unreadable: 1, unreadableEmails: [lost] });
  await readAll(other, ringOf(second));
  const { emails } = await rotation.inUse();
  expect(emails[lostRing.currentKeyId]).toBe(1);
  await sql.query("delete from mailer.emails where id = $1", [lost]);
});

class Cut extends Error {}

/** The rotation's calls, of which every n-th is cut off before or after it has done its work. */
function cutting(rotation: KeyRotation, fate: () => "before" | "after" | "no"): KeyRotation {
  const wrap =
    <Args extends unknown[], Answer>(call: (...args: Args) => Promise<Answer>) =>
    async (...args: Args): Promise<Answer> => {
      const when = fate();
      if (when === "before") throw new Cut();
      const answer = await call(...args);
      if (when === "after") throw new Cut();
      return answer;
    };
  return {
    ...rotation,
    staleEmails: wrap(rotation.staleEmails),
    rewrap: wrap(rotation.rewrap),
    staleAnswers: wrap(rotation.staleAnswers),
    rewriteAnswers: wrap(rotation.rewriteAnswers),
  };
}

test("cut off anywhere, with several at once and people changing emails meanwhile: all is readable in the end", async () => {
  let current = third;
  let former = second;
  const fates = fc.array(fc.constantFrom("before", "after", "no", "no"), { minLength: 12 });
  await fc.assert(
    fc.asyncProperty(fates, fc.integer({ min: 1, max: 4 }), async (fate, batch) => {
      // Servers run with both keys by now: what they write is under the current one.
      const both = ringOf(current, former, first);
      const recipients = ["ann@example.com", "bob@example.org"];
      const later = { scheduled_at: "2030-01-01T00:00:00Z" };
      const ids = await Promise.all(
        [1, 2, 3, 4].map((n) => api.schedule({ recipients, subject: `s${n}`, ...later })),
      );
      const edited = String(ids[0]);
      const subjects = ["edited", "s2", "s3", "s4"];
      const rotation = createKeyRotation(api.database, { batch });
      const rest = [...fate];
      const attempts = [0, 1].map(async () => {
        for (;;) {
          const cut = cutting(rotation, () => rest.shift() ?? "no");
          const ended = await rotateKeys({ rotation: cut, keyRing: both }).catch((error) => error);
          if (!(ended instanceof Error)) return ended;
          if (!(ended instanceof Cut)) throw ended;
        }
      });
      // It may be under the current key already, which this server does not have: then it says so.
      const change = api.request("PATCH", `/api/v1/emails/${edited}`, {
        body: { subject: "edited", recipients: ["new@example.net"] },
      });
      const [answer, ...reports] = await Promise.all([change, ...attempts]);
      expect(reports.map(({ unreadable }) => unreadable)).toEqual([0, 0]);
      if (answer.status !== 200) subjects[0] = "s1";
      const fresh = ringOf(current);
      const read = await readEach(ids, fresh);
      expect(read.map(({ draft }) => draft.subject)).toEqual(subjects);
      const wanted = answer.status === 200 ? "new@example.net" : "ann@example.com";
      const found = await idsFor(wanted, fresh, [fresh.blindIndex(wanted)]);
      expect(found).toContain(edited);
      [current, former] = [former, current];
      await sql.query("delete from mailer.emails where id = any($1)", [ids]);
      await sql.query("delete from mailer.recipients where email_id = any($1)", [ids]);
    }),
    { numRuns: 15 },
  );
});
