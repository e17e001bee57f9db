import type { Address } from "./email.ts";

/**
 * An address as text, for storing: the address, and on a second line the display name.
 * Neither holds a control character (our parser refuses them), so this needs no quoting.
 */
export function writeMailbox({ address, name }: Address): string {
  return name === null ? address : `${address}\n${name}`;
}

/** The opposite of `writeMailbox`. */
export function readMailbox(text: string): Address {
  const cut = text.indexOf("\n");
  return cut < 0
    ? { address: text, name: null }
    : { address: text.slice(0, cut), name: text.slice(cut + 1) };
}

/** As people write it: `a@b` or `Name <a@b>`, the name quoted where RFC 5322 asks for it. */
export function showMailbox({ address, name }: Address): string {
  if (name === null) return address;
  const isPlain = /^[\p{L}\p{N} !#$%&'*+\-/=?^_`{|}~]+$/u.test(name);
  return isPlain ? `${name} <${address}>` : `"${name.replace(/["\\]/g, "\\$&")}" <${address}>`;
}
