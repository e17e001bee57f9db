import { type Database, partClaims } from "./database.ts";
import { toEmail } from "./email-json.ts";
import { checkKey, type KeyIdentity } from "./presence.ts";
import type { StoredEmail } from "./stored-email.ts";

/** An email as a rotation needs it; attempts only when it has a failure. */
export interface StaleEmail extends StoredEmail {
  failureGroup: string | null;
  failureDomain: string | null;
}

/** What a rotation writes for one email; applied only if wrapped key and version are unchanged. */
export interface Rewrap {
  id: string;
  version: number;
  oldKey: string;
  newKey: string;
  addressIndexes: { position: number; addressIndex: string }[];
  failure: {
    oldGroup: string | null;
    newGroup: string | null;
    oldDomain: string | null;
    newDomain: string | null;
  } | null;
}

/** Which request an answer was kept for. */
export interface AnswerPlace {
  owner_id: string;
  path: string;
  key: string;
}

export interface StaleAnswer extends AnswerPlace {
  /** Ciphertext. */
  response: string;
}

/** A part of a table; `last` null: that was all, else go on after it. */
export interface RotationPage<Row, Place> {
  rows: Row[];
  /** How many were looked at. */
  scanned: number;
  last: Place | null;
}

export interface KeyUse {
  /** Rows by the id of the key that opens them; emails that were shredded under `none`. */
  emails: Record<string, number>;
  answers: Record<string, number>;
  webhooks: Record<string, number>;
}

/** The database's side of a change of the encryption key. All of it by the claims of its part. */
export interface KeyRotation {
  staleEmails(keyId: string, after: string | null): Promise<RotationPage<StaleEmail, string>>;
  /** How many were changed; the others were changed by somebody else since they were read. */
  rewrap(items: Rewrap[]): Promise<number>;
  staleAnswers(
    keyId: string,
    after: AnswerPlace | null,
  ): Promise<RotationPage<StaleAnswer, AnswerPlace>>;
  rewriteAnswers(items: (AnswerPlace & { old: string; new: string })[]): Promise<number>;
  /** Endpoints of webhooks whose data key another key wraps. */
  staleWebhooks(keyId: string): Promise<{ id: string; ownerId: string; wrappedKey: string }[]>;
  rewrapWebhooks(items: { id: string; old: string; new: string }[]): Promise<number>;
  /** Counts all rows, in as many calls as it takes. */
  inUse(): Promise<KeyUse>;
  /** Keys that living processes write with; null: of a release that does not say. */
  processes(): Promise<{ keyId: string | null; count: number }[]>;
  /** Whether the database takes the key, which from then on is its own. */
  checkKey(key: KeyIdentity): Promise<boolean>;
}

/** No call looks at more rows: a second at most, also where a statement may take eight. */
const scanMax = 20_000;

export function createKeyRotation(database: Database, { batch }: { batch: number }): KeyRotation {
  const claims = partClaims("keys");
  const call = (fn: string, args: unknown) => database.rpc(fn, args, claims);

  async function count(part: keyof KeyUse): Promise<Record<string, number>> {
    const sums: Record<string, number> = {};
    let after: unknown = null;
    do {
      const page = (await call("keys_in_use", { part, after, scan_max: scanMax })) as UseJson;
      for (const [key, n] of Object.entries(page.counts)) sums[key] = (sums[key] ?? 0) + n;
      after = page.last;
    } while (after !== null);
    return sums;
  }

  return {
    async staleEmails(keyId, after) {
      const args = { key_id: keyId, after, limit: batch, scan_max: scanMax };
      const page = (await call("stale_emails", args)) as EmailsJson;
      return { rows: page.emails.map(toStale), scanned: page.scanned, last: page.last };
    },
    async rewrap(items) {
      return (await call("rewrap_emails", items.map(toRewrapJson))) as number;
    },
    async staleAnswers(keyId, after) {
      const args = { key_id: keyId, after, limit: batch, scan_max: scanMax };
      const page = (await call("stale_answers", args)) as AnswersJson;
      return { rows: page.answers, scanned: page.scanned, last: page.last };
    },
    async rewriteAnswers(items) {
      return (await call("rewrite_answers", items)) as number;
    },
    async staleWebhooks(keyId) {
      const rows = (await call("stale_webhooks", { key_id: keyId })) as StaleWebhookJson[];
      return rows.map(({ id, owner_id, wrapped_key }) => ({
        id,
        ownerId: owner_id,
        wrappedKey: wrapped_key,
      }));
    },
    async rewrapWebhooks(items) {
      return (await call("rewrap_webhooks", items)) as number;
    },
    async inUse() {
      const [emails, answers] = [await count("emails"), await count("answers")];
      return { emails, answers, webhooks: await count("webhooks") };
    },
    async processes() {
      const rows = (await call("key_processes", {})) as { key_id: string | null; count: number }[];
      return rows.map(({ key_id: keyId, count: n }) => ({ keyId, count: n }));
    },
    checkKey: (key) => checkKey(database, key, { claims, workerId: null }),
  };
}

interface UseJson {
  counts: Record<string, number>;
  last: unknown;
}

interface StaleJson {
  failure_group: string | null;
  failure_domain: string | null;
}

interface EmailsJson {
  emails: StaleJson[];
  scanned: number;
  last: string | null;
}

interface StaleWebhookJson {
  id: string;
  owner_id: string;
  wrapped_key: string;
}

interface AnswersJson {
  answers: StaleAnswer[];
  scanned: number;
  last: AnswerPlace | null;
}

function toStale(json: StaleJson): StaleEmail {
  return {
    ...toEmail(json),
    failureGroup: json.failure_group,
    failureDomain: json.failure_domain,
  };
}

function toRewrapJson({ id, version, oldKey, newKey, addressIndexes, failure }: Rewrap): object {
  return {
    id,
    version,
    old: oldKey,
    new: newKey,
    recipients: addressIndexes.map(({ position, addressIndex }) => ({
      position,
      address_index: addressIndex,
    })),
    failure: failure && {
      old_group: failure.oldGroup,
      new_group: failure.newGroup,
      old_domain: failure.oldDomain,
      new_domain: failure.newDomain,
    },
  };
}
