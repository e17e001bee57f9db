import { createHash, createHmac, hkdfSync, type KeyObject } from "node:crypto";
import { decrypt, encrypt } from "../../crypto/aes-gcm.ts";
import { DecryptError } from "../../crypto/decrypt-error.ts";

const refreshPlace = "refresh token of a session";

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** null: this was never a cookie of ours, and nobody need be asked. */
export function hashOf(cookie: string | undefined): string | null {
  return cookie !== undefined && /^[\w-]{43}$/.test(cookie) ? sha256(cookie) : null;
}

/** The value that ties a session to the secret; without the cookie it says nothing of the secret. */
export function groundOf(cookie: string, secret: string | KeyObject): string {
  return createHmac("sha256", secret).update(`session ${cookie}`).digest("hex");
}

/**
 * A refresh token is stored encrypted with a key that is made of the cookie, of which the database
 * has a hash alone: a copy of the database, and of every key of the program, does not open it.
 */
export function sealRefresh(refreshToken: string, cookie: string): string {
  return encrypt(keyOf(cookie), Buffer.from(refreshToken), refreshPlace).toString("base64");
}

/** null: it does not open. */
export function openRefresh(sealed: string, cookie: string): string | null {
  try {
    return decrypt(keyOf(cookie), Buffer.from(sealed, "base64"), refreshPlace).toString();
  } catch (error) {
    if (error instanceof DecryptError) return null;
    throw error;
  }
}

function keyOf(cookie: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", cookie, "", refreshPlace, 32));
}
