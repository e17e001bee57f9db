import { expect, test } from "bun:test";
import { createHeadroom } from "./headroom.ts";

const ada = 1;
const bob = 2;
const jobsMax = { alone: 100, shared: 40 };
const never = new AbortController().signal;

function headroom(behindMax = 2) {
  const clock = { at: 0 };
  const room = createHeadroom({ jobsMax, behindMax, now: () => clock.at });
  /** Begun emails, in order; each may be ended. */
  const begun: { line: number; leave: () => void }[] = [];
  const enter = async (line: number, isBehind: boolean, signal = never) => {
    begun.push({ line, leave: await room.enter({ line, isBehind }, signal) });
  };
  return { clock, room, begun, enter };
}

const turn = () => Bun.sleep(0);

test("who is alone has everything", async () => {
  const { begun, enter } = headroom();
  await enter(ada, false);
  for (let n = 0; n < 50; n++) void enter(ada, true);
  await turn();
  expect(begun.length).toBe(51);
});

test("while another sends, only so many of a flood run at once; the other is never held", async () => {
  const { begun, enter } = headroom();
  await enter(bob, false);
  for (let n = 0; n < 5; n++) void enter(ada, true);
  await turn();
  expect(begun.filter(({ line }) => line === ada).length).toBe(2);
  await enter(bob, false);
  begun.find(({ line }) => line === ada)?.leave();
  await turn();
  expect(begun.filter(({ line }) => line === ada).length).toBe(3);
});

test("an end that is told twice counts once", async () => {
  const { begun, enter } = headroom();
  await enter(bob, false);
  for (let n = 0; n < 5; n++) void enter(ada, true);
  await turn();
  begun[1]?.leave();
  begun[1]?.leave();
  await turn();
  expect(begun.filter(({ line }) => line === ada).length).toBe(3);
});

test("all of a flood goes on once nobody else has sent for a minute", async () => {
  const { clock, begun, enter } = headroom();
  await enter(bob, false);
  for (let n = 0; n < 9; n++) void enter(ada, true);
  await turn();
  clock.at = 61_000;
  begun[1]?.leave();
  await turn();
  expect(begun.length).toBe(10);
});

test("an owner's own punctual emails do not hold back the owner's flood", async () => {
  const { begun, enter } = headroom();
  for (let n = 0; n < 9; n++) await enter(ada, false);
  for (let n = 0; n < 9; n++) void enter(ada, true);
  await turn();
  expect(begun.length).toBe(18);
  // Another's do, also when the owner's came after it.
  await enter(bob, false);
  await enter(ada, false);
  void enter(ada, true);
  await turn();
  expect(begun.length).toBe(20);
});

test("whoever waits gives up when told to, and takes no place with it", async () => {
  const { begun, enter, room } = headroom(1);
  await enter(bob, false);
  await enter(ada, true);
  const giveUp = new AbortController();
  const waiting = room.enter({ line: ada, isBehind: true }, giveUp.signal);
  const gaveUp = waiting.catch((error: Error) => error.message);
  giveUp.abort(new Error("draining"));
  expect(await gaveUp).toBe("draining");
  void enter(ada, true);
  begun[1]?.leave();
  await turn();
  expect(begun.length).toBe(3);
  const already = room.enter({ line: ada, isBehind: true }, giveUp.signal);
  expect(await already.catch((error: Error) => error.message)).toBe("draining");
});

test("while several owners send, fewer jobs are held", async () => {
  const { clock, enter, room } = headroom();
  await enter(ada, false);
  expect(room.jobsMax).toBe(100);
  await enter(ada, true);
  expect(room.jobsMax).toBe(100);
  await enter(bob, false);
  expect(room.jobsMax).toBe(40);
  clock.at = 61_000;
  expect(room.jobsMax).toBe(100);
});
