import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { drivers, type OpenDatabase } from "../testing/databases.ts";
import { newEmail, store, userClaims } from "../testing/new-email.ts";
import { joinRegion } from "../testing/region-process.ts";
import { createToldLooks } from "../testing/told-looks.ts";
import type { Attempts, ClaimedEmail } from "./attempts.ts";
import { createEmails, type Emails } from "./emails.ts";
import { SCHEMA_VERSION } from "./migrations.ts";
import type { PresenceOptions } from "./presence.ts";

const ada = userClaims("ada");

describe.each(drivers)("presence on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
  }, 60_000);
  afterAll(() => opened.close());

  /** One process of its own region, so that tests do not find each other's work. */
  const process = (region: string, fields: Partial<PresenceOptions> = {}) =>
    joinRegion(opened.database, region, fields);

  async function claimedBy(
    attempts: Attempts,
    region: string,
    queuedBy: string,
  ): Promise<ClaimedEmail> {
    const draft = newEmail({ region });
    await store(emails, [draft], { queuedBy });
    const answer = await attempts.claim(draft.id, 1);
    if (answer.kind !== "claimed") throw new Error(answer.kind);
    return answer.email;
  }

  test("what a stopped worker had not fenced is pending again, and goes to the queue at once", async () => {
    const dead = await process("stopped");
    const alive = await process("stopped");
    const email = await claimedBy(dead.attempts, "stopped", dead.workerId);
    await dead.presence.stop();
    const taken = await alive.presence.takeOver({ everything: false });
    expect(taken.released).toBeGreaterThanOrEqual(1);
    expect(await emails.get(email.id, ada)).toMatchObject({ status: "pending", attemptsSpent: 0 });
    const { emails: due } = await alive.presence.queueDue(100);
    expect(due).toContainEqual({ id: email.id, wake: 2, delayMs: 0, ownerId: "ada" });
    expect((await alive.presence.queueDue(100)).emails).toEqual([]);
  });

  test("a living worker's email is left alone", async () => {
    const worker = await process("living");
    const other = await process("living");
    const email = await claimedBy(worker.attempts, "living", worker.workerId);
    await other.presence.takeOver({ everything: false });
    expect((await emails.get(email.id, ada))?.status).toBe("sending");
  });

  test("a fenced email of a dead worker is an orphan only after its reply timeout", async () => {
    const patient = await process("fenced", { replyTimeoutMs: 600_000 });
    const brief = await process("fenced", { replyTimeoutMs: 1 });
    const held = await claimedBy(patient.attempts, "fenced", patient.workerId);
    const lost = await claimedBy(brief.attempts, "fenced", brief.workerId);
    await patient.attempts.fence(held.id, held.token, new Date());
    await brief.attempts.fence(lost.id, lost.token, new Date());
    await patient.presence.stop();
    await brief.presence.stop();
    const other = await process("fenced");
    const { orphans } = await other.presence.takeOver({ everything: false });
    const ids = orphans.map(({ id }) => id);
    expect(ids).toContain(lost.id);
    expect(ids).not.toContain(held.id);
    expect(orphans.find(({ id }) => id === lost.id)).toMatchObject({
      token: lost.token,
      attempt: 1,
      onUncertain: "retry",
      maxRetries: 3,
    });
  });

  test("at the boot of an embedded database all that is sending is taken over", async () => {
    const before = await process("boot");
    const fenced = await claimedBy(before.attempts, "boot", before.workerId);
    const free = await claimedBy(before.attempts, "boot", before.workerId);
    await before.attempts.fence(fenced.id, fenced.token, new Date());
    const after = await process("boot");
    const { orphans } = await after.presence.takeOver({ everything: true });
    expect(orphans.map(({ id }) => id)).toContain(fenced.id);
    expect((await emails.get(free.id, ada))?.status).toBe("pending");
  });

  test("what a dead process had queued is queued again by another", async () => {
    const dead = await process("queued");
    const [accepted] = await store(emails, [newEmail({ region: "queued" })], {
      queuedBy: dead.workerId,
    });
    const alive = await process("queued");
    expect((await alive.presence.queueDue(100)).emails).toEqual([]);
    await dead.presence.stop();
    await alive.presence.takeOver({ everything: false });
    const { emails: due } = await alive.presence.queueDue(100);
    expect(due.map(({ id }) => id)).toEqual([accepted?.id ?? ""]);
  });

  test("what a crashed process had queued and is due gets a new wake, what is not due keeps its", async () => {
    const crashed = await process("crashed");
    const later = newEmail({ region: "crashed", scheduledAt: new Date(Date.now() + 60_000) });
    const due = newEmail({ region: "crashed" });
    await store(emails, [due, later], { queuedBy: crashed.workerId });
    const looks = createToldLooks();
    const alive = await process("crashed", { looks });
    looks.tell({ id: crashed.workerId, beats: 1 });
    await alive.presence.takeOver({ everything: false });
    const { emails: queued } = await alive.presence.queueDue(100);
    expect(queued.map(({ id, wake }) => [id, wake])).toEqual([
      [due.id, 2],
      [later.id, 1],
    ]);
  });

  test("a new queue marker voids what was queued before it", async () => {
    const { presence, workerId } = await process("flushed");
    await presence.setQueueMarker("first");
    const drafts = [newEmail({ region: "flushed" }), newEmail({ region: "flushed" })];
    await store(emails, drafts, { queuedBy: workerId });
    expect((await presence.queueDue(100)).emails).toEqual([]);
    expect(await presence.setQueueMarker("first")).toEqual({ isNew: false });
    expect(await presence.setQueueMarker("second")).toEqual({ isNew: true });
    const { emails: due } = await presence.queueDue(100);
    expect(due.map(({ id }) => id).sort()).toEqual(drafts.map(({ id }) => id).sort());
    expect((await presence.queueDue(100)).emails).toEqual([]);
  });

  test("an email beyond the horizon is queued only when its time comes near", async () => {
    const { presence, workerId } = await process("later");
    const far = newEmail({ region: "later", scheduledAt: new Date(Date.now() + 3_600_000) });
    const near = newEmail({ region: "later", scheduledAt: new Date(Date.now() + 300_000) });
    const answers = await store(emails, [far, near], { queuedBy: workerId });
    expect(answers[0]?.delayMs).toBeNull();
    expect(answers[1]?.delayMs).toBeGreaterThan(200_000);
    expect((await presence.queueDue(100)).emails).toEqual([]);
  });

  test("a job that was given up is queued again, under the wake it had", async () => {
    const { presence, workerId } = await process("given-up");
    const draft = newEmail({ region: "given-up" });
    await store(emails, [draft], { queuedBy: workerId });
    await presence.unqueue([{ id: draft.id, wake: 7 }]);
    expect((await presence.queueDue(100)).emails).toEqual([]);
    await presence.unqueue([{ id: draft.id, wake: 1 }]);
    expect((await presence.queueDue(100)).emails).toEqual([
      { id: draft.id, wake: 1, delayMs: 0, ownerId: "ada" },
    ]);
  });

  test("a database belongs to one key, and to another only when that reads the former", async () => {
    const { presence } = await process("keys");
    expect(await presence.schemaVersion()).toBe(SCHEMA_VERSION);
    const key = (fingerprint: string, ...oldFingerprints: string[]) =>
      presence.checkKey({ currentKeyId: `id-of-${fingerprint}`, fingerprint, oldFingerprints });
    expect(await key("one")).toBe(true);
    expect(await key("two")).toBe(false);
    expect(await key("two", "three")).toBe(false);
    expect(await key("one")).toBe(true);
    // One that can read with the former takes over, and the former alone is refused from then on.
    expect(await key("two", "three", "one")).toBe(true);
    expect(await key("one")).toBe(false);
    expect(await key("two")).toBe(true);
  });

  test("workers that beat are counted", async () => {
    const { presence } = await process("counted");
    const before = await presence.countWorkers();
    await process("counted");
    expect(await presence.countWorkers()).toBe(before + 1);
  });
});
