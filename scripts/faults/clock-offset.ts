import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Debian's package faketime; the path of other architectures differs in one folder. */
const libraries = ["x86_64", "aarch64"].map(
  (name) => `/usr/lib/${name}-linux-gnu/faketime/libfaketime.so.1`,
);

/** True where clocks can be put off. */
export function hasFakeTime(): boolean {
  return libraries.some((path) => existsSync(path));
}

/** A clock of some processes, to be set while they run. */
export interface SettableClock {
  env: Record<string, string>;
  /** Off by so much from now on, `+1h` or `-1h`. */
  set(offset: "+0" | `${"+" | "-"}${number}h`): void;
  /**
   * A moment of ours, ms since the epoch, by that clock: before `dueAt` only when it was so by every
   * setting of the last second, and else by the setting that is nearest, since an email is due by the
   * clock that it was accepted under.
   */
  shown(at: number, dueAt: number): number;
  /** What it shows now, and how long ago it was set, both in ms. */
  now(): { at: number; setMsAgo: number };
}

/** `folder`: readable for whoever runs the processes. */
export function createSettableClock(folder: string): SettableClock {
  const file = join(folder, "offset");
  const settings = [{ from: 0, offsetMs: 0 }];
  const write = (offset: string) => writeFileSync(file, offset, { mode: 0o644 });
  write("+0");
  const { FAKETIME: _, ...env } = clockOff("+0");
  return {
    env: { ...env, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: "1" },
    set(offset) {
      write(offset);
      settings.push({ from: Date.now(), offsetMs: Number.parseInt(offset, 10) * 3_600_000 });
    },
    shown(at, dueAt) {
      const since = settings.findLastIndex(({ from }) => from <= at - switchMs);
      const until = settings.findLastIndex(({ from }) => from <= at);
      const times = settings.slice(0, until + 1).map(({ offsetMs }) => at + offsetMs);
      const latest = Math.max(...times.slice(since));
      if (latest < Math.floor(dueAt)) return latest;
      const away = (time: number) => Math.abs(time - dueAt);
      return Math.max(dueAt, ...times.sort((a, b) => away(a) - away(b)).slice(0, 1));
    },
    now() {
      const { from, offsetMs } = settings.at(-1) ?? { from: 0, offsetMs: 0 };
      return { at: Date.now() + offsetMs, setMsAgo: Date.now() - from };
    },
  };
}

/** From the fence of an email to its acceptance at most, and from a setting to its effect. */
const switchMs = 1_000;

/** The environment of a process whose clock is off by so much, `+1h` or `-1d`. */
export function clockOff(offset: string): Record<string, string> {
  const library = libraries.find((path) => existsSync(path));
  if (library === undefined) throw new Error("libfaketime is not installed (Debian: faketime)");
  // Only the calendar is off; timers run on the monotonic clock, as with a real wrong clock.
  return { LD_PRELOAD: library, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: "1" };
}
