import { readApiKey } from "./api-key.ts";
import type { Principal, Scope } from "./principal.ts";
import { refusedCredential } from "./refusal.ts";

/** What the database says of a key, by its own clock. */
export type FoundApiKey =
  | { kind: "found"; id: string; ownerId: string; scopes: Scope[]; expiresAt: Date | null }
  | { kind: "unknown" | "revoked" | "expired" };

export interface ApiKeyCheckOptions {
  find: (key: { prefix: string; hash: string }) => Promise<FoundApiKey>;
  /** Notes that keys were used; nobody waits for it. */
  noteUse: (ids: string[]) => Promise<void>;
  now?: () => number;
}

export interface ApiKeyCheck {
  /**
   * Rejects with `unauthorized`, or with `database_unavailable`. `mayGuess` is called, and may throw,
   * before a key is looked up that nobody has shown here yet.
   */
  authenticate(key: string, mayGuess?: () => void): Promise<Principal>;
  /** Asks anew for every key: one was revoked in this process, and ends with the answer to that. */
  forget(): void;
}

/** Milliseconds an answer counts: a revoked or expired key ends within it, on every process. */
const keptMs = 2_000;
const keptMax = 10_000;
/** `last_used_at` is for people who tidy up; a minute is near enough. */
const noteEveryMs = 60_000;

interface Kept {
  answer: Promise<FoundApiKey>;
  askedAt: number;
}

export function createApiKeyCheck(options: ApiKeyCheckOptions): ApiKeyCheck {
  const { find, noteUse, now = () => performance.now() } = options;
  /** By hash: a key in clear stays nowhere. */
  const kept = new Map<string, Kept>();
  const notedAt = new Map<string, number>();
  /** By hash: keys that were found. A flood of made-up ones from the same place leaves them alone. */
  const shown = new Map<string, true>();

  /** Many requests with one key at one moment ask once. */
  function ask(key: { prefix: string; hash: string }): Promise<FoundApiKey> {
    const earlier = kept.get(key.hash);
    if (earlier !== undefined && now() - earlier.askedAt < keptMs) return earlier.answer;
    const answer = find(key);
    kept.delete(key.hash);
    kept.set(key.hash, { answer, askedAt: now() });
    dropOldest(kept);
    // A failure is not an answer. Its callers see the rejection; this only forgets it.
    answer.catch(() => kept.delete(key.hash));
    return answer;
  }

  function note(id: string): void {
    if (now() - (notedAt.get(id) ?? Number.NEGATIVE_INFINITY) < noteEveryMs) return;
    notedAt.delete(id);
    notedAt.set(id, now());
    dropOldest(notedAt);
    // Lost with a database that is gone; the next use after a minute notes it again.
    noteUse([id]).catch(() => {});
  }

  return {
    authenticate: async (text, mayGuess) => {
      const key = readApiKey(text);
      if (key === null) throw refusedCredential("api_key_malformed");
      if (!shown.has(key.hash)) mayGuess?.();
      const found = await ask(key);
      shown.delete(key.hash);
      if (found.kind !== "found") throw refusedCredential(`api_key_${found.kind}`);
      shown.set(key.hash, true);
      dropOldest(shown);
      note(found.id);
      return toPrincipal(found);
    },
    forget: () => kept.clear(),
  };
}

function dropOldest(map: Map<string, unknown>): void {
  const oldest = map.size > keptMax ? map.keys().next().value : undefined;
  if (oldest !== undefined) map.delete(oldest);
}

function toPrincipal(found: FoundApiKey & { kind: "found" }): Principal {
  const { id, ownerId, scopes, expiresAt } = found;
  const key = { id, scopes, expiresAt };
  return { ownerId, isAdmin: scopes.includes("admin"), credential: "api_key", key };
}
