import { isNewerZoneData, zoneData } from "../email/zone-data.ts";
import { createWallClocks } from "../store/wall-clocks.ts";
import { type Finding, ok, type Patient, warning } from "./finding.ts";

/** By which time zones local times are resolved, and whether what waits was resolved by the same. */
export async function checkZones({ database }: Patient): Promise<Finding[]> {
  const { version: ours } = zoneData();
  const used = database === null ? [] : await createWallClocks(database).zoneData();
  const newer = used.filter((one) => isNewerZoneData(one, ours));
  const others = used.filter((one) => one !== ours && !newer.includes(one));
  if (newer.length > 0) {
    return [
      warning(
        "time zones",
        `are of ICU ${ours}, and a newer release (${newer.join(", ")}) has resolved local times`,
        "Run the same release everywhere: this one resolves what it accepts by older rules.",
      ),
    ];
  }
  if (others.length > 0) {
    return [
      warning(
        "time zones",
        `are of ICU ${ours}, and emails wait for local times that ${others.map(shown).join(", ")} resolved`,
        "A server of this release resolves them anew when it starts, and looks every ten minutes.",
      ),
    ];
  }
  return [ok("time zones", `are of ICU ${ours}, and so is every local time that emails wait for`)];
}

/** Emails of a release that did not note it. */
function shown(version: string): string {
  return version || "unknown ones";
}
