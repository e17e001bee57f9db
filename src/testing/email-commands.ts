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
import { always, aWorker, isIdle, type Real, workerOf } from "./email-command.ts";
import { applyUncertainty, free, isLost, isOrphan, type Model } from "./email-model.ts";

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

const beat = aWorker.map((index) =>
  always(`worker ${index} beats`, async (model, real) => {
    await workerOf(real, index).presence.beat();
    model.silent.delete(index);
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
      for (const email of lost) free(model, email);
      for (const email of orphans) applyUncertainty(model, email);
      await adoptWakes(model, real);
    },
    (model) => idle || model.emails.some((email) => isLost(model, email) || isOrphan(model, email)),
  ),
);

/** What a dead worker had queued may wake anew; how often is its own test's matter. */
async function adoptWakes(model: Model, real: Real): Promise<void> {
  const rows = await real.bench.rows(model.emails.map(({ id }) => id));
  for (const email of model.emails) {
    const wake = rows.get(email.id)?.wake ?? 0;
    expect(wake).toBeGreaterThanOrEqual(email.wake);
    if (email.state === "pending") email.wake = wake;
  }
}

/** Weighted, so that the long chains are reached. */
export const emailCommands = [
  ...[schedule, schedule, schedule],
  ...[claim, claim, claim, claim, claim, claim],
  ...[fence, fence, fence, fence],
  ...[settleReplies, settleReplies, settleReplies, settleUncertain],
  ...[settleWithoutFence, release, cancel, replay, replay],
  ...[pass, pass, pass, silence, beat, takeOver, takeOver],
];
