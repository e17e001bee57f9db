import { afterAll, beforeAll, expect, test } from "bun:test";
import { createSigningKey } from "../crypto/signing-key.ts";
import { isSoundlySigned, parseCheckpoint } from "../journal/checkpoint.ts";
import { createAudit } from "../store/audit.ts";
import { createCheckpointKeeper } from "../store/checkpoint-keeper.ts";
import type { Database } from "../store/database.ts";
import { createEmails } from "../store/emails.ts";
import { createJournal } from "../store/journal.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { keepCheckpoint } from "./keep-checkpoint.ts";

let database: Database;
beforeAll(async () => {
  database = createPostgresDatabase({ url: (await freshDatabase()).url });
}, 60_000);
afterAll(() => database?.close());

const key = createSigningKey({ auditSigningKey: null, encryptionKey: "ab".repeat(32) });

test("each run keeps what is sealed by then, signed; nothing new needs no other one", async () => {
  const run = () => keepCheckpoint(createCheckpointKeeper(database, { region: "local" }), key);
  expect(await run()).toEqual({ kept: 0, position: 0, owners: 0 });
  await store(createEmails(database), [newEmail(), newEmail()]);
  await createJournal(database).seal(10);
  expect(await run()).toEqual({ kept: 1, position: 2, owners: 1 });
  expect(await run()).toEqual({ kept: 0, position: 2, owners: 1 });
  const page = { before: null, offset: 0, limit: 9 };
  const kept = await createAudit(database).checkpoints(page, adminClaims);
  const [checkpoint] = kept.map(({ text }) => parseCheckpoint(text));
  expect(kept).toHaveLength(1);
  expect(checkpoint).toMatchObject({ position: 2, chains: 1, owner_id: null, key: key.publicKey });
  expect(checkpoint && isSoundlySigned(checkpoint)).toBe(true);
});
