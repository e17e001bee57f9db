import { expect, test } from "bun:test";
import type { BulkCancel } from "../store/bulk-cancel.ts";
import type { Emails } from "../store/emails.ts";
import type { CancelAnswer } from "../store/stored-email.ts";
import { adminClaims } from "../testing/fixtures/new-email.ts";
import { revokeCancelled, revokeCancelledInBulk } from "./revoking-cancel.ts";

test.each<[CancelAnswer, string[]]>([
  ["cancelled", ["e"]],
  ["in_flight", []],
  ["not_found", []],
])("a cancel that is answered %s revokes %j in this process", async (answer, expected) => {
  const revoked: string[] = [];
  const emails = revokeCancelled(
    { cancel: async () => answer } as Partial<Emails> as Emails,
    (ids) => () => void revoked.push(...ids),
  );
  expect(await emails.cancel("e", adminClaims, null)).toBe(answer);
  expect(revoked).toEqual(expected);
});

test("a bulk cancel revokes each chunk once it is committed, and none that failed", async () => {
  const revoked: string[] = [];
  let isFailing = false;
  const inner = {
    async cancel({ ids }: { ids: string[] }) {
      if (isFailing) throw new Error("gone");
      return ids.length;
    },
  };
  const bulk = revokeCancelledInBulk(
    inner as Partial<BulkCancel> as BulkCancel,
    (ids) => () => void revoked.push(...ids),
  );
  const chunk = { bulk: "b", origin: null };
  expect(await bulk.cancel({ ...chunk, ids: ["a", "b"] }, adminClaims)).toBe(2);
  isFailing = true;
  await expect(bulk.cancel({ ...chunk, ids: ["c"] }, adminClaims)).rejects.toThrow("gone");
  expect(revoked).toEqual(["a", "b"]);
});
