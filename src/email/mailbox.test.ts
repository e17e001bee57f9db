import { expect, test } from "bun:test";
import { readMailbox, showMailbox, writeMailbox } from "./mailbox.ts";

test("what is written is read back", () => {
  for (const mailbox of [
    { address: "a@b.example", name: null },
    { address: "a@b.example", name: 'Ada <x@y>, the "first"' },
  ]) {
    expect(readMailbox(writeMailbox(mailbox))).toEqual(mailbox);
  }
});

test("a name is quoted only where RFC 5322 asks for it", () => {
  expect(showMailbox({ address: "a@b.example", name: null })).toBe("a@b.example");
  expect(showMailbox({ address: "a@b.example", name: "Ada Lovelace" })).toBe(
    "Ada Lovelace <a@b.example>",
  );
  expect(showMailbox({ address: "a@b.example", name: 'L, "Ada"' })).toBe(
    '"L, \\"Ada\\"" <a@b.example>',
  );
});
