import fc from "fast-check";
import { acceptPointNames, deliveryPointNames } from "../../src/runtime/fail-points.ts";
import { faultyBinary } from "../../src/testing/product/product.ts";
import { until } from "../../src/testing/servers/child-server.ts";
import { defineFault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";
import type { World } from "./world.ts";

/** A process that will die at the n-th time it comes by a point; resolves when it has. */
async function dieAt(
  world: World,
  point: string,
  { passage, isAll }: { passage: number; isAll: boolean },
): Promise<void> {
  const isAccepting = acceptPointNames.some((name) => name === point);
  const doomed = await world.start({
    role: isAll ? "all" : isAccepting ? "api" : "worker",
    bin: faultyBinary,
    env: { FAIL_POINTS: `${point}=kill@${passage}` },
    // It may be dead before anybody could have asked.
    isReadyAwaited: false,
  });
  await until(`a process dies at ${point}`, () => doomed.hasEnded, 60_000);
  world.count();
}

export const killedAtEveryStep = defineFault({
  name: "killed-at-every-step",
  what: `A process dies by SIGKILL at each step of accepting and delivering, under load, half the time one that does both: ${[...acceptPointNames, ...deliveryPointNames].join(", ")}.`,
  mails: { small: 700, full: 10_000 },
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.start({ role: "api" });
    await world.start({ role: "worker" });
    const rounds = world.scale === "full" ? 20 : 1;
    const names = Array.from({ length: rounds }, () => [
      ...acceptPointNames,
      ...deliveryPointNames,
    ]).flat();
    const passages = world.draw(fc.integer({ min: 1, max: 8 }), names.length);
    let isDone = false;
    const doomed = (async () => {
      // Four at a time, so that the healthy ones keep most of the work.
      const waiting = names.map((name, index) => {
        const round = Math.floor(index / (names.length / rounds));
        return { name, passage: passages[index] ?? 1, isAll: (round + index) % 2 === 1 };
      });
      const lane = async () => {
        for (let next = waiting.shift(); next; next = waiting.shift()) {
          await dieAt(world, next.name, next);
        }
      };
      await Promise.all([lane(), lane(), lane(), lane()]);
    })().finally(() => {
      isDone = true;
    });
    // Told below, once the load has ended.
    doomed.catch(() => undefined);
    // The load lasts until all have died, and its least size is that of the scale.
    while (!isDone || world.load.acks.size < world.mails) {
      const perSecond = world.scale === "full" ? 60 : 100;
      await world.load.steady({ count: 50, perSecond, fields: nowAndSoon });
    }
    await doomed;
  },
});
