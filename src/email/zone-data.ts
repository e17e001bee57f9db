import { createHash } from "node:crypto";

/** What this program knows of the world's clocks. */
export interface ZoneData {
  /** Such as `78.3-9b3bef47`: ICU's version, and a fingerprint of the zones' rules in it. */
  readonly version: string;
}

/** Past rules change too, but nothing is scheduled there; nobody's rules are known much further. */
const firstYear = 2020;
const lastYear = 2046;

let known: ZoneData | null = null;

/**
 * The zone data in force, read once. Bun does not say which edition of the IANA database it holds
 * (there is no `process.versions.tz`), and on macOS the system's is used: hence the fingerprint,
 * over every change of every zone's offset. 43 ms, measured.
 */
export function zoneData(): ZoneData {
  known ??= { version: `${process.versions.icu ?? "0"}-${fingerprint()}` };
  return known;
}

function fingerprint(): string {
  const hash = createHash("sha256");
  for (const zone of Intl.supportedValuesOf("timeZone")) {
    let at = new Temporal.PlainDate(firstYear, 1, 1).toZonedDateTime(zone);
    hash.update(`${zone} ${at.offset}\n`);
    for (;;) {
      const next = at.getTimeZoneTransition("next");
      if (next === null || next.year >= lastYear) break;
      hash.update(`${next.epochMilliseconds} ${next.offset}\n`);
      at = next;
    }
  }
  return hash.digest("hex").slice(0, 8);
}

/** Whether `one` is of a later ICU than `other`; of the same ICU neither is. */
export function isNewerZoneData(one: string, other: string): boolean {
  const [[major, minor], [otherMajor, otherMinor]] = [icuOf(one), icuOf(other)];
  return major === otherMajor ? minor > otherMinor : major > otherMajor;
}

/** An unknown version is older than any. */
function icuOf(version: string): [major: number, minor: number] {
  const [, major, minor] = /^(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  return [Number(major ?? 0), Number(minor ?? 0)];
}
