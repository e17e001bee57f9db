import { expect, test } from "bun:test";
import { createQueuePause } from "./queue-pause.ts";

/** A queue that answers when the test says so. */
function queueOfTest() {
  const asked: PromiseWithResolvers<boolean>[] = [];
  const pause = createQueuePause({
    isPaused: () => {
      const answer = Promise.withResolvers<boolean>();
      asked.push(answer);
      return answer.promise;
    },
  });
  const see = async (isPaused: boolean) => {
    const look = pause.look();
    asked.at(-1)?.resolve(isPaused);
    await look;
    return pause.isPaused;
  };
  return { pause, asked, see };
}

test("a queue that was never seen counts as paused; then it is as it was last seen", async () => {
  const { pause, see } = queueOfTest();
  expect(pause.isPaused).toBe(true);
  expect([await see(false), await see(true), await see(false)]).toEqual([false, true, false]);
});

test("what this process did is known at once, and no answer from before it counts", async () => {
  const { pause, asked, see } = queueOfTest();
  await see(false);
  const look = pause.look();
  pause.note(true);
  asked.at(-1)?.resolve(false);
  await look;
  expect(pause.isPaused).toBe(true);
});

test("a queue that fails or is silent leaves all as it was, and is asked once at a time", async () => {
  const { pause, asked, see } = queueOfTest();
  await see(false);
  const looks = [pause.look(), pause.look()];
  expect(asked).toHaveLength(2);
  asked.at(-1)?.reject(new Error("down"));
  await Promise.all(looks);
  expect(pause.isPaused).toBe(false);
});
