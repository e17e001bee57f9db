import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { claimedOne, claimOne } from "../testing/fixtures/claim-one.ts";
import { newEmail, recipientsOf, store, userClaims } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type Attempts, createAttempts } from "./attempts.ts";
import { type Changes, createChanges, type StoredChange } from "./changes.ts";
import { createEmails, type Emails } from "./emails.ts";
import type { NewEmail } from "./stored-email.ts";

setDefaultTimeout(60_000);

const ada = userClaims("ada");
const later = new Date("2040-01-01T00:00:00Z");
const content = {
  sender: "sender-2",
  subject: "subject-2",
  messageBytes: 7,
  message: Buffer.from("changed"),
  details: "details-2",
};
const addressee = (position: number, isNew: boolean) => ({
  position,
  kind: "to" as const,
  address: `new-address-${position}`,
  addressIndex: `new-index-${position}`,
  isNew,
});

describe.each(drivers)("changes on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  let changes: Changes;
  let attempts: Attempts;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
    changes = createChanges(opened.database);
    attempts = createAttempts(opened.database, {
      workerId: Bun.randomUUIDv7(),
      region: "local",
      transport: "smtp.example:25",
    });
  });
  afterAll(() => opened.close());

  const target = (id: string, as = ada) => ({
    id,
    as,
    origin: null,
  });
  const request = (id: string, change: StoredChange, asRead = { version: 1, attempts: 0 }) => ({
    ...target(id),
    wrappedKey: "wrapped",
    ...asRead,
    fields: ["x"],
    change,
  });
  const claim = (id: string) => claimedOne(opened.database, attempts, id);
  async function stored(fields: Partial<NewEmail> = {}): Promise<string> {
    const draft = newEmail({ scheduledAt: later, ...fields });
    await store(emails, [draft]);
    return draft.id;
  }
  const read = async (id: string) => {
    const email = await emails.get(id, ada, { details: true, message: true });
    if (!email) throw new Error("gone");
    return email;
  };

  /** One attempt after which the first recipient has got it and the second waits. */
  async function partial(outcome: "partial" | "uncertain" | "deferred" = "partial") {
    const id = await stored({ scheduledAt: null, recipients: recipientsOf(2) });
    const { token } = await claim(id);
    await attempts.fence(id, token, new Date("2026-11-24T03:00:00Z"));
    await attempts.settle({
      id,
      token,
      transport: "smtp.example:25",
      outcome,
      nextState: "pending",
      retryInMs: 60_000,
      smtpCode: null,
      enhancedCode: null,
      reply: "attempt-reply",
      recipients: [0, 1].map((position) => ({
        position,
        status: outcome === "partial" && position === 0 ? "sent" : "deferred",
        smtpCode: 250,
        enhancedCode: null,
        reply: `reply-${position}`,
      })),
    });
    return id;
  }

  test("content, recipients and times change together, in one entry", async () => {
    const id = await stored({
      maxLatenessSeconds: 60,
      onLate: "hold",
      recipients: recipientsOf(3),
    });
    const due = new Date("2041-01-01T00:00:00Z");
    const change = { scheduledAt: due, content, recipients: [addressee(0, true)], tags: ["t"] };
    expect(await changes.edit(request(id, change))).toEqual({
      kind: "changed",
      delayMs: expect.any(Number),
    });
    const email = await read(id);
    expect(email).toMatchObject({
      version: 2,
      scheduledAt: due,
      nextAttemptAt: due,
      expiresAt: new Date("2041-01-01T00:01:00Z"),
      onLate: "hold",
      tags: ["t"],
      subject: "subject-2",
      details: "details-2",
      wrappedKey: "wrapped",
      messageBytes: 7,
      recipients: [{ position: 0, address: "new-address-0", status: "pending" }],
    });
    expect(email.recipients).toHaveLength(1);
    expect(Buffer.from(email.message ?? []).toString()).toBe("changed");
    const events = await emails.events(id, ada);
    expect(events?.map(({ action, sequence }) => [action, sequence])).toEqual([
      ["email.scheduled", 1],
      ["email.updated", 2],
    ]);
  });

  test("what was changed since it was read is left alone", async () => {
    const id = await stored();
    expect(await changes.edit(request(id, { tags: ["a"] }))).toMatchObject({ kind: "changed" });
    expect(await changes.edit(request(id, { tags: ["b"] }))).toEqual({ kind: "conflict" });
    expect((await read(id)).tags).toEqual(["a"]);
  });

  test("what was encrypted and indexed under a key that was replaced meanwhile is not stored", async () => {
    const id = await stored();
    const edit = { ...request(id, { tags: ["a"] }), wrappedKey: "wrapped by another key" };
    expect(await changes.edit(edit)).toEqual({ kind: "conflict" });
    expect((await read(id)).tags).toEqual([]);
  });

  test("of many edits of one version a single one is applied", async () => {
    const id = await stored();
    const all = Array.from({ length: 10 }, (_, n) =>
      changes.edit(request(id, { tags: [String(n)] })),
    );
    const kinds = (await Promise.all(all)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "changed")).toHaveLength(1);
    expect((await read(id)).version).toBe(2);
  });

  test("moved to now it is due, and in flight once it is fenced", async () => {
    const id = await stored();
    expect(await claimOne(opened.database, attempts, id)).toBeNull();
    const answer = await changes.edit(request(id, { scheduledAt: null }));
    expect(answer).toEqual({ kind: "changed", delayMs: 0 });
    const { token } = await claim(id);
    expect(await attempts.fence(id, token, new Date())).toEqual({ granted: true });
    expect(await changes.edit(request(id, {}, { version: 2, attempts: 0 }))).toEqual({
      kind: "in_flight",
    });
  });

  test("an edit of the content leaves it due as it was, and the next claim has the new content", async () => {
    const id = await stored({ scheduledAt: null });
    expect(await changes.edit(request(id, { content }))).toMatchObject({ delayMs: 0 });
    expect(await claim(id)).toMatchObject({ sender: "sender-2" });
  });

  test.each([
    ["partial", "already_sent"],
    ["uncertain", "outcome_uncertain"],
  ] as const)(
    "after a %s attempt the content stays, and the time may change",
    async (outcome, code) => {
      const id = await partial(outcome);
      const asRead = { version: 1, attempts: 1 };
      expect(await changes.edit(request(id, { content }, asRead))).toEqual({ kind: code });
      const recipients = [addressee(2, true)];
      expect(await changes.edit(request(id, { recipients }, asRead))).toEqual({ kind: code });
      expect(await changes.edit(request(id, { scheduledAt: later }, asRead))).toMatchObject({
        kind: "changed",
      });
      expect(await read(id)).toMatchObject({ subject: "subject-ciphertext", nextAttemptAt: later });
    },
  );

  test("between attempts whoever stays keeps what is known, and new ones come beyond", async () => {
    const id = await partial("deferred");
    const recipients = [addressee(1, false), addressee(2, true)];
    // Composed before the attempt was settled: its numbering would be another.
    expect(await changes.edit(request(id, { content, recipients }))).toEqual({ kind: "conflict" });
    const asRead = { version: 1, attempts: 1 };
    expect(await changes.edit(request(id, { content, recipients }, asRead))).toMatchObject({
      kind: "changed",
    });
    expect((await read(id)).recipients).toMatchObject([
      { position: 1, address: "new-address-1", status: "deferred", reply: "reply-1" },
      { position: 2, address: "new-address-2", status: "pending", reply: null },
    ]);
  });

  test("an edit that leaves nobody to send to is undone as a whole", async () => {
    const id = await stored();
    const edit = changes.edit(request(id, { content, recipients: [], tags: ["x"] }));
    expect(await rejection(edit)).toMatchObject({ code: "invalid_content" });
    expect(await read(id)).toMatchObject({ version: 1, tags: [], recipients: [{ position: 0 }] });
  });

  test("held, no claim gets it; released, it goes out, whatever the worker's crashes were", async () => {
    const id = await stored({ scheduledAt: null });
    expect(await changes.hold(target(id))).toBe("held");
    expect(await claimOne(opened.database, attempts, id)).toBeNull();
    const released = await changes.release(target(id));
    expect(released).toEqual({ kind: "released", delayMs: 0 });
    const { token } = await claim(id);
    expect(await changes.release(target(id))).toEqual({ kind: "not_held", state: "pending" });
    await attempts.fence(id, token, new Date());
    expect(await changes.release(target(id))).toEqual({ kind: "not_held", state: "sending" });
  });

  test("another owner's email is not there, and stays as it is", async () => {
    const id = await stored();
    const before = await read(id);
    const eve = {
      ...request(id, { content, recipients: [addressee(0, true)] }),
      as: userClaims("eve"),
    };
    expect(await changes.edit(eve)).toEqual({ kind: "not_found" });
    expect(await changes.probe(eve)).toEqual({ kind: "not_found" });
    expect(await changes.replay(eve)).toEqual({ kind: "not_found" });
    expect(await changes.hold(eve)).toBe("not_found");
    expect(await changes.release(eve)).toEqual({ kind: "not_found" });
    expect(await read(id)).toEqual(before);
  });
});
