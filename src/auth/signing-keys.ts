import type { CryptoKey } from "jose";
import { AppError } from "../errors.ts";
import { readKeySet } from "./read-key-set.ts";

/** A public key that somebody else signs tokens with. */
export interface SigningKey {
  kid: string;
  /** The one algorithm this key is used with, whatever a token's header says. */
  algorithm: "ES256" | "RS256";
  /** RFC 7638: another key under the same kid is another key. */
  thumbprint: string;
  key: CryptoKey;
}

export interface SigningKeysOptions {
  /** Fetches the key set (RFC 7517) as parsed JSON; rejects when there is none to be had. */
  fetchKeySet: () => Promise<unknown>;
  /** Ids of keys that an admin has dropped, whatever the key set says. */
  droppedKids: () => Promise<ReadonlySet<string>>;
  now?: () => number;
}

/** The keys of JWKS_URL, kept for a minute. */
export interface SigningKeys {
  /** null: not in the key set, or dropped. Rejects with `signing_keys_unavailable`. */
  find(kid: string): Promise<SigningKey | null>;
  list(): Promise<SigningKey[]>;
}

/** A key that its issuer has taken out of the set counts no longer than this. */
const maxAgeMs = 60_000;
/** A kid nobody knows may be a new key, or made up: at most one question for it in this time. */
const coolDownMs = 10_000;
/** When the issuer cannot be reached, what is known still counts, but not for ever. */
const staleMaxMs = 600_000;

export function createSigningKeys(options: SigningKeysOptions): SigningKeys {
  const { fetchKeySet, droppedKids, now = () => performance.now() } = options;
  let known: ReadonlyMap<string, SigningKey> | null = null;
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let askedAt = Number.NEGATIVE_INFINITY;
  let fault: unknown;
  let asking: Promise<void> | null = null;

  async function ask(): Promise<void> {
    askedAt = now();
    try {
      known = await readKeySet(await fetchKeySet());
      fetchedAt = askedAt;
    } catch (error) {
      // The keys known so far may still count: `current` decides, and tells.
      fault = error;
    }
  }

  /** One question at a time, and none within the cool-down of the last. */
  async function refresh(): Promise<void> {
    if (asking === null && now() - askedAt < coolDownMs) return;
    asking ??= ask().finally(() => {
      asking = null;
    });
    await asking;
  }

  async function current(): Promise<ReadonlyMap<string, SigningKey>> {
    if (now() - fetchedAt >= maxAgeMs) await refresh();
    if (known !== null && now() - fetchedAt < staleMaxMs) return known;
    throw new AppError("signing_keys_unavailable", {
      publicDetail: "The keys that tokens are checked with cannot be fetched at the moment.",
      cause: fault,
      retryAfterSeconds: 5,
    });
  }

  return {
    find: async (kid) => {
      if ((await droppedKids()).has(kid)) return null;
      const key = (await current()).get(kid);
      if (key !== undefined) return key;
      await refresh();
      return known?.get(kid) ?? null;
    },
    list: async () => [...(await current()).values()],
  };
}
