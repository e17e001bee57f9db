import { randomBytes } from "node:crypto";
import net, { type AddressInfo } from "node:net";
import { Webhook } from "svix";
import { webhookPointNames } from "../../src/runtime/fail-points.ts";
import { faultyBinary } from "../../src/testing/product/product.ts";
import { freePort, until } from "../../src/testing/servers/child-server.ts";
import { defineFault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";
import {
  atRest,
  makeEvents,
  makeWebhook,
  openReceiver,
  percentile99,
  type Receiver,
  secondOwner,
  type Told,
} from "./webhook-receiver.ts";
import type { World } from "./world.ts";

const parts = { env: { WEBHOOK_ALLOW_PRIVATE: "true" } };

/** Events of an owner whose receiver is well, beside others that are not. */
const onTimeMs = { small: 10_000, full: 5_000 };

function judgeOnTime(world: World, { lateMs }: Receiver): void {
  const p99 = Math.round(percentile99(lateMs));
  const limit = onTimeMs[world.scale];
  if (p99 > limit) world.miss(`ada's events told after ${p99} ms at p99, limit ${limit}`);
}

export const webhookKilledAtEveryStep = defineFault({
  name: "webhook-killed-at-every-step",
  what: `The only process that delivers dies by SIGKILL at each step of a delivery: ${webhookPointNames.join(", ")}; each event is told at least once, under one id (I9).`,
  mails: { small: 60, full: 2_000 },
  parts,
  limits: { latenessP99Ms: 20_000 },
  async run(world) {
    await world.start({ role: "api" });
    const receiver = await openReceiver(world);
    const rounds = world.scale === "full" ? 5 : 1;
    const perSecond = Math.ceil(world.mails / (rounds * 8));
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    for (let round = 1; round <= rounds; round++) {
      for (const point of webhookPointNames) {
        const doomed = await world.start({
          role: "worker",
          bin: faultyBinary,
          env: { FAIL_POINTS: `${point}=kill@${point === "endpoint.after" ? 1 : round}` },
          // It may be dead before anybody could have asked.
          isReadyAwaited: false,
        });
        await until(`a process dies at ${point}`, () => doomed.hasEnded, 60_000);
        world.count();
        // At the full scale the others wait until it is found dead, as in production.
        if (world.scale === "small") {
          await world.sql("update mailer.webhooks set leased_until = null");
        }
      }
    }
    await world.start({ role: "worker" });
    await load;
    await atRest(world);
    await receiver.judge();
  },
});

export const webhookDeadBesideOthers = defineFault({
  name: "webhook-dead-beside-others",
  what: "2,000 events (full: 100,000) wait for a receiver where nobody listens, while another's events are told on time; once somebody listens there, each of them is told (I9).",
  mails: { small: 60, full: 2_000 },
  parts,
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.start();
    const receiver = await openReceiver(world);
    const port = await freePort();
    await makeWebhook(world, secondOwner, `http://127.0.0.1:${port}/`);
    const count = world.scale === "full" ? 100_000 : 2_000;
    await makeEvents(world, count);
    world.count();
    await world.load.steady({
      count: world.mails,
      perSecond: Math.ceil(world.mails / (world.scale === "full" ? 60 : 3)),
      fields: nowAndSoon,
    });
    await atRest(world);
    await receiver.judge();
    judgeOnTime(world, receiver);
    const ids = new Set<string>();
    const events = new Set<string>();
    const back = Bun.serve({
      port,
      hostname: "127.0.0.1",
      async fetch(req) {
        const { type, data } = (await req.json()) as Told;
        ids.add(req.headers.get("webhook-id") ?? "");
        events.add(`${data.email_id} ${type}`);
        return new Response("ok");
      },
    });
    world.closeWith(() => back.stop(true));
    // At the full scale the waits between tries are waited for.
    if (world.scale === "small") {
      await world.sql(
        "update mailer.webhook_deliveries set next_try_at = now() where next_try_at is not null",
      );
    }
    const withinMs = world.scale === "full" ? 600_000 : 60_000;
    await until("all of eve's were told", () => events.size >= count, withinMs).catch(() => {});
    if (events.size !== count) world.miss(`I9: ${events.size} of eve's ${count} events told`);
    if (ids.size !== events.size) world.miss(`I9: ${events.size} events under ${ids.size} ids`);
  },
});

export const webhookHostileReceivers = defineFault({
  name: "webhook-hostile-receivers",
  what: "Receivers that answer TLS with noise, drip a byte at a time, answer 100 MB, and take 2 s (full: 14 s), while another's events are told on time; the large and the late answer count (I9).",
  mails: { small: 60, full: 2_000 },
  parts,
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.start();
    const receiver = await openReceiver(world);
    const noise = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () => socket.write(randomBytes(4_096)));
    });
    const listens = Promise.withResolvers<void>();
    noise.listen(0, "127.0.0.1", listens.resolve);
    await listens.promise;
    world.closeWith(async () => void noise.close());
    const { port } = noise.address() as AddressInfo;
    await makeWebhook(world, secondOwner, `https://127.0.0.1:${port}/`);
    const lateMs = world.scale === "full" ? 14_000 : 2_000;
    const hostile = await Promise.all([
      openReceiver(world, { owner: secondOwner, take: () => new Response(streamOf(100_000_000)) }),
      openReceiver(world, {
        owner: secondOwner,
        take: () => Bun.sleep(lateMs).then(() => undefined),
        // A receiver gets ten at once, and there are a hundred.
        toldWithinMs: 60_000 + 10 * lateMs,
      }),
    ]);
    await openReceiver(world, { owner: secondOwner, take: () => new Response(dripping()) });
    await makeEvents(world, world.scale === "full" ? 100 : 10);
    world.count(4);
    await world.load.steady({
      count: world.mails,
      perSecond: Math.ceil(world.mails / (world.scale === "full" ? 60 : 3)),
      fields: nowAndSoon,
    });
    await atRest(world);
    await receiver.judge();
    judgeOnTime(world, receiver);
    for (const one of hostile) await one.judge();
  },
});

export const webhookSecretsRotated = defineFault({
  name: "webhook-secrets-rotated",
  what: "A webhook's secret is rotated again and again, and other webhooks are deleted, while events are told: a receiver that knows the secret before the last verifies every one (I9).",
  mails: { small: 60, full: 2_000 },
  parts,
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.start({ role: "api" });
    await world.start({ role: "worker" });
    const secrets: string[] = [];
    let unverified = 0;
    const receiver = await openReceiver(world, {
      take(req, body) {
        // A delivery that was begun before a rotation is signed as it was then.
        const known = secrets.slice(-3);
        if (known.some((secret) => isSignedBy(secret, req, body))) return undefined;
        unverified += 1;
        return undefined;
      },
    });
    secrets.push(receiver.secret);
    const [api] = world.processes;
    const bearer = await api?.token("ada");
    const kills = world.scale === "full" ? 30 : 3;
    const perSecond = Math.ceil(world.mails / kills);
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    for (let kill = 0; kill < kills; kill++) {
      const doomed = await makeWebhook(world, "ada", `http://127.0.0.1:${await freePort()}/`);
      await Bun.sleep(500);
      const path = `/api/v1/webhooks/${receiver.id}/rotate-secret`;
      const rotated = await api?.api<{ secret: string }>("POST", path, {}, bearer);
      if (rotated?.status !== 200) throw new Error(`not rotated: ${rotated?.text}`);
      secrets.push(rotated.body.data.secret);
      const gone = await api?.api("DELETE", `/api/v1/webhooks/${doomed.id}`, undefined, bearer);
      if (gone?.status !== 200) throw new Error(`not deleted: ${gone?.text}`);
      world.count(2);
    }
    await load;
    await atRest(world);
    await receiver.judge();
    if (unverified > 0) world.miss(`${unverified} deliveries that no secret of the time verifies`);
  },
});

function isSignedBy(secret: string, req: Request, body: string): boolean {
  try {
    new Webhook(secret).verify(body, Object.fromEntries(req.headers));
    return true;
  } catch {
    return false;
  }
}

/** Zeros, as fast as they are taken. */
function streamOf(bytes: number): ReadableStream<Uint8Array> {
  const chunk = new Uint8Array(65_536);
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(chunk);
      sent += chunk.length;
      if (sent >= bytes) controller.close();
    },
  });
}

function dripping(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      await Bun.sleep(200);
      controller.enqueue(new Uint8Array([97]));
    },
  });
}
