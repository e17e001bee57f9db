import MimeNode from "nodemailer/lib/mime-node";
import type { Address } from "../email/email.ts";
import { AppError } from "../errors.ts";
import { singleSpaced, withoutControls } from "./header-text.ts";

/** An address and a display name, "" for none, as they may go into a header. */
export interface Mailbox {
  address: string;
  name: string;
}

/** With nothing in it to rewrite: a dot-atom at a host name that does not end as an IPv4 address. */
const plainAddress =
  /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*$/;

/** Throws `invalid_content` on an address our own parser would not have taken. */
export function mailbox({ address, name }: Address): Mailbox {
  if (!/^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(address))
    throw new AppError("invalid_content", { publicDetail: "An address is not plain ASCII." });
  // An encoded-word would carry a line end safely, but whoever decodes it may not expect one.
  return { address, name: singleSpaced(withoutControls(name ?? "")) };
}

/** The value of a header that names these, not folded; anything unusual is left to nodemailer. */
export function addressList(addresses: readonly Address[]): string {
  const mailboxes = addresses.map(mailbox);
  if (!mailboxes.every(isPlain)) return MimeNode.encodeHeaderValue("To", mailboxes);
  return mailboxes
    .map(({ address, name }) => (name === "" ? address : `${name} <${address}>`))
    .join(", ");
}

function isPlain({ address, name }: Mailbox): boolean {
  return plainAddress.test(address) && /^[\w ]*$/.test(name);
}
