import { expect } from "bun:test";
import fc from "fast-check";
import {
  cancel,
  claim,
  fence,
  release,
  replay,
  schedule,
  settleReplies,
  settleUncertain,
  settleWithoutFence,
} from "./email-actions.ts";
import { always, aWorker, isIdle, workerOf } from "./email-command.ts";
import { applyUncertainty, freeAll, isLost, isOrphan } from "./email-model.ts";

const pass = fc.constantFrom(1, 1, 2, 4).map((units) =>
  always(`time passes(${units})`, async (model, real) => {
    await real.bench.shift(
      model.emails.map(({ id }) => id),
      units,
    );
    model.now += units;
  }),
);

const silence = aWorker.map((index) =>
  always(`worker ${index} falls silent`, async (model, real) => {
    await real.bench.silence(workerOf(real, index).id);
    model.silent.add(index);
  }),
);

/** A beat says what the worker has begun: of what it holds all or nothing. */
const beat = fc.tuple(aWorker, fc.boolean()).map(([index, isBusy]) =>
  always(`worker ${index} beats${isBusy ? ", busy" : ""}`, async (model, real) => {
    const held = model.emails.filter(
      ({ state, worker }) => state === "sending" && worker === index,
    );
    const begun = isBusy ? held.map(({ id }) => id) : [];
    await workerOf(real, index).presence.beat({ begun });
    model.begun.set(index, new Set(begun));
    if (model.silent.delete(index)) model.steadySince.set(index, model.now);
  }),
);

const takeOver = isIdle.map((idle) =>
  always(
    "take over",
    async (model, real) => {
      const lost = model.emails.filter((email) => isLost(model, email));
      const orphans = model.emails.filter((email) => isOrphan(model, email));
      const settled = await real.keeper.takeOver();
      const ours = new Set(model.emails.map(({ id }) => id));
      expect(settled.filter((id) => ours.has(id)).sort()).toEqual(
        orphans.map(({ id }) => id).sort(),
      );
      freeAll(model, lost);
      for (const email of orphans) applyUncertainty(model, email);
    },
    (model) => idle || model.emails.some((email) => isLost(model, email) || isOrphan(model, email)),
  ),
);

/** Weighted, so that the long chains are reached. */
export const emailCommands = [
  ...[schedule, schedule, schedule],
  ...[claim, claim, claim, claim, claim, claim],
  ...[fence, fence, fence, fence],
  ...[settleReplies, settleReplies, settleReplies, settleUncertain],
  ...[settleWithoutFence, release, cancel, replay, replay],
  ...[pass, pass, pass, silence, beat, takeOver, takeOver],
];
