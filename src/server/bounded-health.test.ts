import { expect, test } from "bun:test";
import { boundHealth } from "./bounded-health.ts";
import type { HealthReport } from "./health.ts";

function started() {
  let looks = 0;
  let nowMs = 0;
  const state = { status: "ok" as HealthReport["status"], fails: false };
  const health = boundHealth(
    async () => {
      looks += 1;
      if (state.fails) throw new Error("no answer");
      return { status: state.status, accepting: true, components: {} };
    },
    () => nowMs,
  );
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { health, state, pass, looks: () => looks };
}

test("a flood of probes costs three looks in each tenth of a second", async () => {
  const { health, pass, looks } = started();
  await Promise.all(Array.from({ length: 50 }, () => health()));
  expect(looks()).toBe(3);
  pass(99);
  await health();
  expect(looks()).toBe(3);
  pass(1);
  await Promise.all(Array.from({ length: 50 }, () => health()));
  expect(looks()).toBe(6);
});

test("what changed shows at once to whoever does not flood", async () => {
  const { health, state } = started();
  expect((await health()).status).toBe("ok");
  state.status = "down";
  expect((await health()).status).toBe("down");
  state.status = "degraded";
  expect((await health()).status).toBe("degraded");
});

test("a failure is not kept", async () => {
  const { health, state, looks } = started();
  await health();
  await health();
  state.fails = true;
  await expect(health()).rejects.toThrow("no answer");
  state.fails = false;
  expect((await health()).status).toBe("ok");
  expect(looks()).toBe(4);
});
