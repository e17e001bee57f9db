import pg from "pg";
import { createApiKeys } from "../../store/api-keys.ts";
import type { Database } from "../../store/database.ts";
import { createDroppedSigningKeys } from "../../store/dropped-signing-keys.ts";
import { createEmails } from "../../store/emails.ts";
import { createJournal } from "../../store/journal.ts";
import { createMaintenance } from "../../store/maintenance.ts";
import { createPauses } from "../../store/pauses.ts";
import { createPostgresDatabase } from "../../store/postgres-database.ts";
import { createPresence } from "../../store/presence.ts";
import { createSessionStore } from "../../store/sessions.ts";
import { createTransportSlots } from "../../store/transport-slots.ts";
import { createWebhooks } from "../../store/webhooks.ts";
import { entryForState } from "../fixtures/entry-for-state.ts";
import { adminClaims, newEmail, store, userClaims } from "../fixtures/new-email.ts";
import { freshDatabase } from "../servers/fresh-database.ts";

/** A word in every text of an owner's rows, to know them by wherever they come out. */
export function canaryOf(owner: string): string {
  return `canary-of-${owner}`;
}

export interface Tenants {
  url: string;
  /** Of each owner: one email of each state that a function might want, and an API key. */
  ids: Record<
    "ada" | "bob",
    { pending: string; held: string; failed: string; apiKey: string; webhook: string }
  >;
}

const later = new Date("2040-01-01T00:00:00Z");

/** A database with rows of ada's and of bob's in every table that has owners. */
export async function seedTenants(): Promise<Tenants> {
  const { url } = await freshDatabase();
  const database = createPostgresDatabase({ url });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const emails = createEmails(database);
    const keys = createApiKeys(database);
    const seed = async (owner: string) => {
      const ids = { pending: draftOf(owner), held: draftOf(owner), failed: draftOf(owner) };
      const idempotency = { path: "/x", key: owner, fingerprint: "x", response: "x" };
      const fields = { ownerId: owner, actor: owner };
      await store(emails, [ids.pending], { ...fields, idempotency });
      await store(emails, [ids.held, ids.failed], fields);
      await becomes(client, ids.held.id, "held");
      await becomes(client, ids.failed.id, "failed");
      await addAttempt(client, ids.failed.id, owner);
      const apiKey = Bun.randomUUIDv7();
      const hash = new Bun.CryptoHasher("sha256").update(owner).digest("hex");
      await keys.create(
        {
          id: apiKey,
          name: canaryOf(owner),
          prefix: `tfm_${owner}`,
          hash,
          scopes: ["read"],
          expiresAt: null,
          madeBy: null,
          origin: null,
        },
        userClaims(owner),
      );
      const long = "insert into mailer.ended_tokens values ($1, '2020-01-01')";
      await client.query(long, [owner]);
      await createSessionStore(database).start({
        hash,
        replaces: null,
        ownerId: owner,
        isAdmin: false,
        via: "token",
        lastsSeconds: 3_600,
        ...{ ground: hash, signingKey: null, tokenExpiresAt: null, refresh: null },
        origin: null,
      });
      const webhook = await addWebhook(database, client, owner);
      const made = { pending: ids.pending.id, held: ids.held.id, failed: ids.failed.id };
      return { ...made, apiKey, webhook };
    };
    const ids = { ada: await seed("ada"), bob: await seed("bob") };
    const presence = createPresence(database, {
      workerId: Bun.randomUUIDv7(),
      region: "local",
      role: "all",
      replyTimeoutMs: 1_000,
      deadAfterMs: 5_000,
    });
    await presence.beat();
    await presence.checkKey({ currentKeyId: "x", fingerprint: "fingerprint", oldFingerprints: [] });
    await createTransportSlots(database, {
      region: "local",
      transport: "smtp",
      ratePerSecond: 1,
      holder: "tests",
    }).reserve();
    const pause = { kind: "region", name: "elsewhere", reason: "x" } as const;
    await createPauses(database).pause(pause, { claims: adminClaims, origin: null });
    const worker = { workerId: Bun.randomUUIDv7(), region: "local" };
    const turn = { everyMs: 0, leaseMs: 1_000 };
    await createMaintenance(database, worker).begin("retention", turn);
    await createDroppedSigningKeys(database).drop("kid", adminClaims, null);
    await createJournal(database).seal(1_000);
    await client.query(
      `insert into mailer.journal_anchors (owner_id, position, number, hash)
       select owner_id, 0, 0, decode(repeat('00', 32), 'hex') from mailer.journal_heads
       where owner_id in ('ada', 'bob')`,
    );
    return { url, ids };
  } finally {
    await client.end();
    await database.close();
  }
}

function draftOf(owner: string) {
  const canary = canaryOf(owner);
  return newEmail({
    scheduledAt: later,
    subject: canary,
    sender: canary,
    details: canary,
    wrappedKey: canary,
    message: new TextEncoder().encode(canary),
    tags: [canary],
    metadata: { canary },
    recipients: [{ position: 0, kind: "to", address: canary, addressIndex: canary }],
  });
}

/** Puts an email into any state, with triggers switched off. */
async function becomes(client: pg.Client, id: string, state: string): Promise<void> {
  await client.query("begin");
  await client.query("set local session_replication_role = replica");
  await client.query(
    `update mailer.emails set state = $1, failure_group = owner_id, dead_at = now() where id = $2`,
    [state, id],
  );
  await client.query(entryForState, [id]);
  await client.query("commit");
}

async function addAttempt(client: pg.Client, id: string, owner: string): Promise<void> {
  await client.query(
    `insert into mailer.attempts (email_id, number, owner_id, claim_token, region, transport,
       started_at, ended_at, outcome, reply)
     values ($1, 1, $2, 1, 'local', 'smtp', now(), now(), 'bounced', $3)`,
    [id, owner, canaryOf(owner)],
  );
  await client.query("update mailer.recipients set status = 'bounced' where email_id = $1", [id]);
}

/** An endpoint that had one delivery. */
async function addWebhook(database: Database, client: pg.Client, owner: string): Promise<string> {
  const id = Bun.randomUUIDv7();
  const canary = canaryOf(owner);
  await createWebhooks(database).create(
    {
      ...{ id, isGlobal: false, url: "https://example.com/", description: canary },
      ...{ events: ["email.*"], tags: [], wrappedKey: canary, secret: canary },
      ...{ isEnabled: true, origin: null },
    },
    userClaims(owner),
  );
  await client.query(
    `insert into mailer.webhook_deliveries (id, webhook_id, owner_id, type, outcome, tries, answer,
       created_at) values ($1, $2, $3, 'email.sent', 'delivered', 1, $1, now())`,
    [canary, id, owner],
  );
  return id;
}
