import { expect, test } from "bun:test";
import fc from "fast-check";
import MimeNode from "nodemailer/lib/mime-node";
import { addressList, mailbox } from "./address-list.ts";

test("a list of addresses is nodemailer's, character by character", () => {
  const part = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
  const domain = fc
    .array(
      fc.oneof(
        part,
        part.map((value) => `xn--${value}`),
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((labels) => labels.join("."));
  const address = fc
    .tuple(fc.stringMatching(/^[\w!#$%&'*+/=?^`{|}~.-]{1,20}$/), domain)
    .map(([local, host]) => `${local}@${host}`);
  const name = fc.oneof(fc.stringMatching(/^[\w .,"'-]{0,20}$/), fc.string({ unit: "grapheme" }));
  const list = fc.array(fc.record({ address, name: fc.option(name) }), { maxLength: 6 });
  fc.assert(
    fc.property(list, (addresses) => {
      const theirs = MimeNode.encodeHeaderValue("To", addresses.map(mailbox));
      expect(addressList(addresses)).toBe(theirs);
    }),
    { numRuns: 1_000 },
  );
});
