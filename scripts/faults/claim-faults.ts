import { until } from "../../src/testing/servers/child-server.ts";
import { defineFault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";
import type { World } from "./world.ts";

/** Whether a process says that it knows outcomes that it could not write yet. */
async function isSettlingDegraded(url: string): Promise<boolean> {
  const response = await fetch(`${url}/health`);
  const { components } = (await response.json()) as {
    components: Record<string, { status: string }>;
  };
  return components.settling?.status === "degraded";
}

export const settleRefused = defineFault({
  name: "settle-refused",
  what: "The right to call settle_attempts revoked for two seconds under load (42501), so that what the next hop has answered cannot be written.",
  mails: { small: 120, full: 3_000 },
  parts: { postgres: "own" },
  limits: { latenessP99Ms: 5_000, uncertain: 0 },
  async run(world) {
    const process = await world.start();
    const rounds = world.scale === "full" ? 10 : 1;
    const perSecond = world.mails / (4 * rounds);
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    for (let round = 0; round < rounds; round++) {
      await Bun.sleep(1_000);
      await world.outage(async () => {
        await right(world, "revoke", "from");
        await until("/health says so", () => isSettlingDegraded(process.url), 10_000).catch(() =>
          world.miss("/health did not say that outcomes are not written"),
        );
        await Bun.sleep(2_000);
        await right(world, "grant", "to");
      });
    }
    await load;
    await until("/health is well again", async () => !(await isSettlingDegraded(process.url)));
  },
});

async function right(world: World, what: "grant" | "revoke", whom: "from" | "to"): Promise<void> {
  await world.sql(
    `${what} execute on function mailer.settle_attempts(text) ${whom} mailer_service`,
  );
}

/** Longer than a call may take (4 s): whoever waits for it is told 503. */
const stallMs = 5_500;

export const commitAfterDeadline = defineFault({
  name: "commit-after-deadline",
  what: "A synchronous standby is lost for 5.5 s: commits wait for it past their deadline, then are all made. Each POST is repeated under its Idempotency-Key.",
  mails: { small: 80, full: 2_000 },
  parts: { postgres: "own" },
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.start();
    const rounds = world.scale === "full" ? 5 : 1;
    const perSecond = world.mails / (4 * rounds);
    const load = world.load.steady({ count: world.mails, perSecond, fields: () => ({}) });
    for (let round = 0; round < rounds; round++) {
      await Bun.sleep(1_000);
      await world.outage(async () => {
        // Our own session must not wait for the standby.
        await world.sql("set synchronous_commit = off");
        await world.sql("alter system set synchronous_standby_names = 'nobody'");
        await world.sql("select pg_reload_conf()");
        await Bun.sleep(stallMs);
        await world.sql("alter system reset synchronous_standby_names");
        await world.sql("select pg_reload_conf()");
      });
    }
    await load;
  },
});

/** Of the claims that a process makes, every so many-th is forgotten. */
const forgotten = { small: 20, full: 100 };

export const claimsForgotten = defineFault({
  name: "claims-forgotten",
  what: "Every hundredth claim (small scale: twentieth) is forgotten by its worker before anything is done with it, and every hundredth outcome before it is written.",
  mails: { small: 120, full: 5_000 },
  limits: { latenessP99Ms: 15_000 },
  async run(world) {
    const every = forgotten[world.scale];
    const points = `begin.before=throw%${every},settle.before=throw%${every}`;
    const processes = await Promise.all(
      ["all", "worker"].map((role) =>
        world.start({
          role: role as "all" | "worker",
          env: { FAIL_POINTS: points },
        }),
      ),
    );
    world.count(processes.length);
    const perSecond = world.scale === "full" ? 100 : 60;
    await world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
  },
});
