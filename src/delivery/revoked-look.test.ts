import { expect, test } from "bun:test";
import { createRevokedLook } from "./revoked-look.ts";

const claims = Array.from({ length: 20 }, (_, index) => ({ id: `email-${index}`, token: 1 }));

function lookOf(tookMs: number) {
  const clock = { ms: 0 };
  let asked = 0;
  const look = createRevokedLook({
    findRevoked: async (some) => {
      asked += 1;
      clock.ms += tookMs;
      return [some[3]?.id ?? ""];
    },
    now: () => clock.ms,
  });
  return { look, asked: () => asked };
}

test.each([
  [0, 25],
  [40, 120],
  [900, 250],
])(
  "after an answer in %d ms the next flood is asked about %d ms before its moment",
  async (tookMs, leadMs) => {
    const { look } = lookOf(tookMs);
    expect(look.leadMs).toBe(250);
    expect(await look.find(claims)).toEqual(new Set(["email-3"]));
    expect(look.leadMs).toBe(leadMs);
  },
);

test("of fewer than 20 nothing is asked", async () => {
  const { look, asked } = lookOf(1);
  expect(await look.find(claims.slice(1))).toEqual(new Set());
  expect([asked(), look.leadMs]).toEqual([0, 250]);
});
