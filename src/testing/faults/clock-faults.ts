import { inMs } from "../email-requests.ts";
import { clockOff } from "./clock-offset.ts";
import { defineFault } from "./fault.ts";

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
