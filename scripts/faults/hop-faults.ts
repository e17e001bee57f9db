import { inMs } from "../../src/testing/product/email-requests.ts";
import { defineFault, type Scale } from "./fault.ts";
import type { World } from "./world.ts";

/** Emails a second that the next hop is to be given at most. */
const ratePerSecond = { small: 60, full: 250 };
/** The backlog may take this much longer than the rate alone would. */
const slack = 1.2;
const backlog = { small: 300, full: 50_000 };
const minuteMs = { small: 100, full: 1_000 };
/** A probe may wait its whole back-off, in minutes, before it finds the next hop alive. */
const probeMinutes = 5;

function drainMs(scale: Scale): number {
  const atRateMs = (backlog[scale] / ratePerSecond[scale]) * 1_000 * slack;
  return atRateMs + probeMinutes * minuteMs[scale];
}

/** Attempts the outage cost: none may have more than the one that sent it. */
async function burntAttempts(world: World): Promise<number> {
  const [row] = await world.sql<{ burnt: number }>(
    "select coalesce(sum(attempts - 1), 0)::int as burnt from mailer.emails where attempts > 1",
  );
  return row?.burnt ?? 0;
}

export const hopDown = defineFault({
  name: "next-hop-down-30-minutes",
  what:
    "Nobody listens at the next hop for 30 minutes (RETRY_BASE_MS is the minute: 3 s at small, 30 s " +
    "at full scale) while the whole backlog is due; then it is back and takes at most " +
    "SMTP_RATE_PER_SECOND. No attempt may be burnt, and the backlog be gone within 1.2 times what the rate allows.",
  mails: backlog,
  parts: { proxied: ["smtp"] },
  limits: { latenessP99Ms: { small: drainMs("small"), full: drainMs("full") } },
  async run(world) {
    const rate = ratePerSecond[world.scale];
    const minute = minuteMs[world.scale];
    const env = { RETRY_BASE_MS: String(minute), SMTP_RATE_PER_SECOND: String(rate) };
    world.env.RETRY_BASE_MS = String(minute);
    const hop = world.proxy("smtp");
    await hop.refuse();
    await world.start({ role: "api", env });
    await world.start({ role: "worker", env });
    await world.load.burst(world.mails, () => ({ scheduled_at: inMs(0) }));
    const sentBefore = await world.outage(async () => {
      await Bun.sleep(30 * minute);
      const count = world.sink.acceptances.length;
      await hop.heal();
      return count;
    });
    const healedAt = performance.now();
    const boundMs = ((world.mails - sentBefore) / rate) * 1_000 * slack;
    await world.sink
      .waitForAcceptances(world.mails, boundMs * 2 + 60_000)
      .catch(() => world.miss("the backlog was not drained"));
    const tookMs = performance.now() - healedAt;
    const probeMs = probeMinutes * minute;
    if (tookMs > boundMs + probeMs) {
      world.miss(`drained in ${Math.round(tookMs)} ms, bound ${Math.round(boundMs + probeMs)} ms`);
    }
    const burnt = await burntAttempts(world);
    if (burnt > 0) world.miss(`${burnt} attempts burnt`);
  },
});
