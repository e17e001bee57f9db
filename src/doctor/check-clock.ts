import type { RedisFacts } from "../queue/inspect-redis.ts";
import { type Finding, ok, type SeenFigures, warning } from "./finding.ts";

const skewMsMax = 2_000;

/** The database's clock decides; ours and Redis' only wake, and wake badly when they are off. */
export function checkClock(seen: SeenFigures, redis: RedisFacts | null): Finding {
  const own = seen.askedAt.getTime() - seen.figures.now.getTime();
  const skews = [`this machine ${signed(own)}`];
  let worst = Math.abs(own);
  if (redis !== null) {
    const ofRedis = redis.now.getTime() - redis.askedAt.getTime() + own;
    skews.push(`Redis ${signed(ofRedis)}`);
    worst = Math.max(worst, Math.abs(ofRedis));
  }
  const saw = `against the database: ${skews.join(", ")}`;
  if (worst <= skewMsMax) return ok("clock", saw);
  return warning(
    "clock",
    saw,
    "Keep all machines on NTP: nothing is sent early, but what is due wakes late.",
  );
}

function signed(ms: number): string {
  const seconds = ms / 1000;
  return `${seconds < 0 ? "−" : "+"}${Math.abs(seconds).toFixed(Math.abs(seconds) < 10 ? 2 : 0)} s`;
}
