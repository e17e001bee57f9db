import { existsSync } from "node:fs";

/** Debian's package faketime; the path of other architectures differs in one folder. */
const libraries = ["x86_64", "aarch64"].map(
  (name) => `/usr/lib/${name}-linux-gnu/faketime/libfaketime.so.1`,
);

/** True where clocks can be put off. */
export function hasFakeTime(): boolean {
  return libraries.some((path) => existsSync(path));
}

/** The environment of a process whose clock is off by so much, `+1h` or `-1d`. */
export function clockOff(offset: string): Record<string, string> {
  const library = libraries.find((path) => existsSync(path));
  if (library === undefined) throw new Error("libfaketime is not installed (Debian: faketime)");
  // Only the calendar is off; timers run on the monotonic clock, as with a real wrong clock.
  return { LD_PRELOAD: library, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: "1" };
}
