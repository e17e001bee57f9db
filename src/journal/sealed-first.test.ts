import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createLogger } from "../log.ts";
import { createAudit } from "../store/audit.ts";
import { createEmails } from "../store/emails.ts";
import { createJournal } from "../store/journal.ts";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { createSealer } from "./seal.ts";
import { sealedFirst } from "./sealed-first.ts";

setDefaultTimeout(60_000);

describe.each(drivers)("an audit right after a change on $driver", ({ open }) => {
  let opened: OpenDatabase;
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(() => opened.close());

  test("shows it, although no sealer runs", async () => {
    const { database } = opened;
    const log = createLogger({ level: "silent" });
    const sealer = createSealer({ store: createJournal(database), log, limit: 2 });
    let rounds = 0;
    sealer.onSealed(() => {
      rounds += 1;
    });
    const audit = sealedFirst(createAudit(database), sealer);
    const drafts = [newEmail(), newEmail(), newEmail(), newEmail(), newEmail()] as const;
    await store(createEmails(database), [...drafts]);
    const newest = { limit: 10, isNewestFirst: true };
    const entries = await audit.read(newest, adminClaims);
    expect(entries.map(({ emailId }) => emailId).toSorted()).toEqual(
      drafts.map(({ id }) => id).toSorted(),
    );
    // Followers in this process hear of what was sealed for a reader.
    expect(rounds).toBeGreaterThanOrEqual(3);

    await store(createEmails(database), [newEmail()]);
    // A later page is of what was there before.
    const page = { ...newest, before: entries.at(0)?.position ?? 0 };
    expect(await audit.read(page, adminClaims)).toHaveLength(4);
    expect((await createAudit(database).state(null, adminClaims)).position).toBe(5);
    expect((await audit.state(null, adminClaims)).position).toBe(6);
  });

  test("shows what is sealed when sealing fails", async () => {
    const { database } = opened;
    const log = createLogger({ level: "silent" });
    const broken = { seal: () => Promise.reject(new Error("refused")) };
    const audit = sealedFirst(createAudit(database), createSealer({ store: broken, log }));
    expect(await audit.read({ limit: 10, isNewestFirst: true }, adminClaims)).toHaveLength(6);
  });
});
