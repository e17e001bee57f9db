import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { claimedOne } from "../testing/fixtures/claim-one.ts";
import { newEmail, store, userClaims } from "../testing/fixtures/new-email.ts";
import { joinRegion } from "../testing/product/region-process.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import type { Attempts, ClaimedEmail } from "./attempts.ts";
import { createEmails, type Emails } from "./emails.ts";
import { MIGRATIONS } from "./migrations.ts";
import type { PresenceOptions } from "./presence.ts";
import { originOf } from "./schema-origin.ts";

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

  async function claimedBy(attempts: Attempts, region: string): Promise<ClaimedEmail> {
    const draft = newEmail({ region });
    await store(emails, [draft]);
    return await claimedOne(opened.database, attempts, draft.id);
  }

  test("what a stopped worker had not fenced is anybody's to claim at once", async () => {
    const dead = await process("stopped");
    const alive = await process("stopped");
    const email = await claimedBy(dead.attempts, "stopped");
    await dead.presence.stop();
    const taken = await alive.presence.takeOver({ everything: false });
    expect(taken.released).toBeGreaterThanOrEqual(1);
    expect(await emails.get(email.id, ada)).toMatchObject({ status: "pending", attemptsSpent: 0 });
    const again = await claimedOne(opened.database, alive.attempts, email.id);
    expect(again).toMatchObject({ id: email.id, token: email.token + 1, attempt: 1 });
  });

  test("a living worker's email is left alone", async () => {
    const worker = await process("living");
    const other = await process("living");
    const email = await claimedBy(worker.attempts, "living");
    await other.presence.takeOver({ everything: false });
    const { id, token } = email;
    expect(await worker.attempts.findRevoked([{ id, token }])).toEqual([]);
  });

  test("a fenced email of a dead worker is an orphan only after its reply timeout", async () => {
    const patient = await process("fenced", { replyTimeoutMs: 600_000 });
    const brief = await process("fenced", { replyTimeoutMs: 1 });
    const held = await claimedBy(patient.attempts, "fenced");
    const lost = await claimedBy(brief.attempts, "fenced");
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
    const fenced = await claimedBy(before.attempts, "boot");
    const free = await claimedBy(before.attempts, "boot");
    await before.attempts.fence(fenced.id, fenced.token, new Date());
    const after = await process("boot");
    const { orphans } = await after.presence.takeOver({ everything: true });
    expect(orphans.map(({ id }) => id)).toContain(fenced.id);
    expect((await emails.get(free.id, ada))?.status).toBe("pending");
  });

  test("a database belongs to one key, and to another only when that reads the former", async () => {
    const { presence } = await process("keys");
    expect(await presence.schemaOrigin()).toEqual(originOf(MIGRATIONS));
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
