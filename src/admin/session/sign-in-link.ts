import { createHash, randomBytes } from "node:crypto";

export interface SignInLinksOptions {
  now?: () => Date;
}

export interface SignInLinks {
  /** A link that signs one browser in as admin, once, within 24 hours. */
  create(baseUrl: string): string;
  /** True once per code. */
  redeem(code: string): boolean;
}

const lifetimeMs = 24 * 3_600_000;
const linksMax = 100;

/** Codes live in memory only, as hashes, and end with the process. */
export function createSignInLinks({
  now = () => new Date(),
}: SignInLinksOptions = {}): SignInLinks {
  const expiryByHash = new Map<string, number>();
  return {
    create: (baseUrl) => {
      const code = randomBytes(24).toString("base64url");
      expiryByHash.set(hashOf(code), now().getTime() + lifetimeMs);
      const oldest = expiryByHash.size > linksMax ? expiryByHash.keys().next().value : undefined;
      if (oldest !== undefined) expiryByHash.delete(oldest);
      return `${baseUrl.replace(/\/+$/, "")}/sign-in?code=${code}`;
    },
    redeem: (code) => {
      const hash = hashOf(code);
      const expiresAt = expiryByHash.get(hash);
      expiryByHash.delete(hash);
      return expiresAt !== undefined && now().getTime() < expiresAt;
    },
  };
}

function hashOf(code: string): string {
  return createHash("sha256").update(code).digest("base64");
}
