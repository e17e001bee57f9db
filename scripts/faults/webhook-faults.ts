import { defineFault } from "./fault.ts";
import { killNoting, replace } from "./harm.ts";
import { nowAndSoon } from "./load.ts";
import { atRest, openReceiver } from "./webhook-receiver.ts";

const parts = { env: { WEBHOOK_ALLOW_PRIVATE: "true" } };

export const webhookKilled = defineFault({
  name: "webhook-killed",
  what: "SIGKILL to one of two processes that send and tell a webhook, every second, and another started in its place: each event is told at least once, under one id (I9).",
  mails: { small: 60, full: 2_000 },
  parts,
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.start({ role: "api" });
    const workers = [await world.start({ role: "worker" }), await world.start({ role: "worker" })];
    const receiver = await openReceiver(world);
    const kills = world.scale === "full" ? 30 : 4;
    const perSecond = Math.ceil(world.mails / kills);
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    for (let kill = 0; kill < kills; kill++) {
      await Bun.sleep(1_000);
      const victim = workers[kill % 2];
      if (!victim) continue;
      await killNoting(world, victim);
      workers[kill % 2] = await replace(world, victim);
    }
    await load;
    await atRest(world);
    await receiver.judge();
  },
});

export const webhookRedisEmptied = defineFault({
  name: "webhook-redis-emptied",
  what: "FLUSHALL three times while a webhook is told of everything: a delivery is a row and not a job (I9).",
  mails: { small: 60, full: 2_000 },
  parts,
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.start({ role: "api" });
    await world.start({ role: "worker" });
    const receiver = await openReceiver(world);
    const load = world.load.steady({
      count: world.mails,
      perSecond: Math.ceil(world.mails / 4),
      fields: nowAndSoon,
    });
    for (let flush = 0; flush < 3; flush++) {
      await Bun.sleep(1_000);
      await world.redis().flushall();
      world.count();
    }
    await load;
    await atRest(world);
    await receiver.judge();
  },
});

export const webhookReceiverDown = defineFault({
  name: "webhook-receiver-down",
  what: "The receiver of a webhook answers 503, hangs up, redirects, and is there again: nothing is lost of what waited (I9).",
  mails: { small: 60, full: 2_000 },
  // All ten tries of an event then lie within 45 s: what failed a few times is told before the judge.
  parts: { env: { ...parts.env, RETRY_BASE_MS: "10" } },
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.start();
    const receiver = await openReceiver(world);
    const load = world.load.steady({
      count: world.mails,
      perSecond: Math.ceil(world.mails / 4),
      fields: nowAndSoon,
    });
    for (const status of [503, null, 302, 200]) {
      receiver.answer(status);
      world.count();
      await Bun.sleep(1_000);
    }
    await load;
    await atRest(world);
    await receiver.judge();
  },
});
