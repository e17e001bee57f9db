import { createHash, randomBytes } from "node:crypto";

/**
 * `tfm_` + 8 characters to look it up by + 32 secret ones + 6 of checksum, in base 62: one word
 * under a double click, with a prefix that secret scanners know.
 */
const shape = /^(tfm_[0-9A-Za-z]{8})[0-9A-Za-z]{32}[0-9A-Za-z]{6}$/;
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const lookupLength = 8;
/** 190 bits. */
const secretLength = 32;
const checksumLength = 6;

export interface ApiKey {
  /** Shown once, to whoever made it. */
  key: string;
  /** Its first characters, `tfm_` and eight more: find it by, know it again by. Not secret. */
  prefix: string;
  /**
   * SHA-256 of the whole, in hex, which is all that is stored. A slow hash would protect words
   * that people choose; of 190 random bits there is nothing to guess, and each request hashes.
   */
  hash: string;
}

/** Whether a credential means to be an API key; says nothing of whether it is one. */
export function isApiKey(credential: string): boolean {
  return credential.startsWith("tfm_");
}

export function createApiKey(): ApiKey {
  const head = `tfm_${randomText(lookupLength + secretLength)}`;
  return toApiKey(`${head}${checksumOf(head)}`);
}

/** null: mistyped, cut, or made up: no database need be asked. */
export function readApiKey(text: string): ApiKey | null {
  if (!shape.test(text)) return null;
  const head = text.slice(0, -checksumLength);
  return text === `${head}${checksumOf(head)}` ? toApiKey(text) : null;
}

function toApiKey(key: string): ApiKey {
  const hash = createHash("sha256").update(key).digest("hex");
  return { key, prefix: key.slice(0, "tfm_".length + lookupLength), hash };
}

/** CRC-32, as GitHub's tokens carry it: against typing errors, not against anybody. */
function checksumOf(head: string): string {
  let rest = Bun.hash.crc32(head);
  let text = "";
  for (let place = 0; place < checksumLength; place++) {
    text = `${alphabet[rest % alphabet.length]}${text}`;
    rest = Math.floor(rest / alphabet.length);
  }
  return text;
}

/** Bytes of 248 and more are thrown away: what remains divides by 62 without favour. */
function randomText(length: number): string {
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
}
