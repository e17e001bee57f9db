import { expect, test } from "bun:test";
import { createHeldJudge, type HeldBy } from "./held-judge.ts";

const claim = { id: "e", token: 2, workerId: "w", isFenced: false };

/** Looks once a second for so long; `worker` says at each second what the worker says. */
function judged(seconds: number, worker: (second: number) => Partial<HeldBy> | "gone") {
  const judge = createHeldJudge();
  for (let second = 0; second <= seconds; second++) {
    const said = worker(second);
    const by = { beat: `${second}`, held: new Set<string>() };
    const workers = new Map(said === "gone" ? [] : [["w", { ...by, ...said }]]);
    judge.look({ at: second * 1_000, claims: [claim], workers });
  }
  return judge.violations().map(({ invariant, emailId }) => [invariant, emailId]);
}

test("a row that its living worker has not held for over 15 s breaks I11, once", () => {
  expect(judged(15, () => ({}))).toEqual([]);
  expect(judged(40, () => ({}))).toEqual([["I11", "e"]]);
});

test("what is held by id and token never does; held under another token it does", () => {
  expect(judged(40, () => ({ held: new Set(["e:2"]) }))).toEqual([]);
  expect(judged(40, () => ({ held: new Set(["e:1"]) }))).toEqual([["I11", "e"]]);
});

test("a row that is held again in between has to be missed anew", () => {
  const often = (second: number) => ({ held: new Set(second % 10 === 9 ? ["e:2"] : []) });
  expect(judged(60, often)).toEqual([]);
});

test.each([
  ["is dead", () => "gone" as const],
  ["gives no beat", () => ({ beat: "the same" })],
  ["does not answer", () => ({ held: null })],
])("a worker that %s is not a living one", (_, worker) => {
  expect(judged(60, worker)).toEqual([]);
});

test("where nothing could be read the time begins anew", () => {
  const judge = createHeldJudge();
  for (let second = 0; second <= 40; second++) {
    if (second % 10 === 0) judge.skip();
    const workers = new Map([["w", { beat: `${second}`, held: new Set<string>() }]]);
    judge.look({ at: second * 1_000, claims: [claim], workers });
  }
  expect(judge.violations()).toEqual([]);
});
