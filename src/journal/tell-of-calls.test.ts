import { expect, test } from "bun:test";
import type { Database } from "../store/database.ts";
import { callers } from "../testing/fixtures/function-rights.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { steadyCalls, tellOfCalls } from "./tell-of-calls.ts";

const claims = { role: "worker", sub: "worker:local" } as const;

function told(rpc: Database["rpc"]) {
  const calls = { count: 0 };
  const database = tellOfCalls({ driver: "postgres", rpc } as unknown as Database, () => {
    calls.count += 1;
  });
  return { calls, database };
}

test("a call is told of when it is answered, or may have committed all the same", async () => {
  const { calls, database } = told(async (fn) => {
    if (fn === "settle_attempts") throw new Error("the answer was lost");
    return "answer";
  });
  expect(await database.rpc("schedule_emails", {}, claims)).toBe("answer");
  await rejection(database.rpc("settle_attempts", {}, claims));
  expect(calls.count).toBe(2);
});

test("what goes on for ever is not", async () => {
  const { calls, database } = told(async () => null);
  for (const fn of ["beat", "seal_journal", "claim_due", "list_pauses"]) {
    await database.rpc(fn, {}, claims);
  }
  expect(calls.count).toBe(0);
});

test("every call that is passed over is one there is", () => {
  expect(Object.keys(callers)).toEqual(expect.arrayContaining([...steadyCalls]));
});
