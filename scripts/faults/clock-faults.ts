import { inMs } from "../../src/testing/product/email-requests.ts";
import { clockOff, type SettableClock } from "./clock-offset.ts";
import { defineFault } from "./fault.ts";
import { replace } from "./harm.ts";

/** Under load all the time; the clock goes on from each setting for so long. */
const settings = ["+1h", "+0", "-1h", "+0"] as const;
const settingMs = { small: 4_000, full: 15_000 };
/** After so long everybody has heard of the new time: an API refuses a time that is past to it. */
const heardMs = 2_500;

/** By turns due at once, and in two seconds by the clock of the database. */
function nowAndSoonBy(clock: SettableClock | null, index: number): Record<string, unknown> {
  const { at, setMsAgo } = clock?.now() ?? { at: Date.now(), setMsAgo: 0 };
  if (index % 2 === 0 || setMsAgo < heardMs) return {};
  return { scheduled_at: new Date(at + 2_000).toISOString() };
}

export const databaseClockSet = defineFault({
  name: "database-clock-set",
  what: "The database's clock is set forward by an hour, back, back by another, and forward again, each under load and with one of two workers killed; in the end forward, so that what waits for an hour that was there already is due.",
  mails: { small: 200, full: 3_000 },
  isLongOnly: true,
  parts: { postgres: "own", hasSettableClock: true },
  // Emails due by the clock as it was before wait for that hour, until the end.
  limits: { latenessP99Ms: { small: 20_000, full: 90_000 } },
  async run(world) {
    await world.start();
    let worker = await world.start({ role: "worker" });
    const waitMs = settingMs[world.scale];
    const perSecond = (world.mails * 1_000) / (waitMs * (settings.length + 1));
    const fields = (index: number) => nowAndSoonBy(world.databaseClock, index);
    const load = world.load.steady({ count: world.mails, perSecond, fields });
    for (const offset of settings) {
      await Bun.sleep(waitMs);
      world.databaseClock?.set(offset);
      world.count();
      await worker.kill();
      worker = await replace(world, worker);
    }
    await load;
    await Bun.sleep(waitMs);
    world.databaseClock?.set("+1h");
    // The one that lived all the time was never taken for dead.
    const [first] = world.processes;
    if (first?.output().includes("peers took over"))
      world.miss("a living worker was taken for dead");
  },
});

const offsets = ["+1h", "-1h", "+1d", "-1d"];

export const clocksOff = defineFault({
  name: "clocks-off",
  what: `The clocks of four workers are off by ${offsets.join(", ")}, those of two APIs by +1h and -1h; the database's is right.`,
  mails: { small: 200, full: 5_000 },
  limits: { latenessP99Ms: 5_000 },
  async run(world) {
    await world.start({ role: "api", env: clockOff("+1h") });
    await world.start({ role: "api", env: clockOff("-1h") });
    for (const offset of offsets) await world.start({ role: "worker", env: clockOff(offset) });
    await world.load.burst(world.mails, (index) => ({
      scheduled_at: inMs(3_000 + (index * 8_000) / world.mails),
    }));
    world.count(offsets.length + 2);
    await world.sink.waitForAcceptances(world.mails, 120_000).catch(() => undefined);
  },
});
