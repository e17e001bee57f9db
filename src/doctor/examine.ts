import { checkApiKeys } from "./check-api-keys.ts";
import { checkClock } from "./check-clock.ts";
import { checkDatabase } from "./check-database.ts";
import { checkDisk } from "./check-disk.ts";
import { checkFleet } from "./check-fleet.ts";
import { checkPauses } from "./check-pauses.ts";
import { checkQueue } from "./check-queue.ts";
import { checkReadReplica } from "./check-read-replica.ts";
import { checkSender } from "./check-sender.ts";
import { checkSmtp } from "./check-smtp.ts";
import { checkTokenSecrets } from "./check-token-secrets.ts";
import { checkWork } from "./check-work.ts";
import { checkZones } from "./check-zones.ts";
import {
  type Finding,
  failed,
  ok,
  type Patient,
  reasonOf,
  type SeenFigures,
  warning,
} from "./finding.ts";

/** Whatever hangs is told after this; every check has shorter limits of its own. */
const limitMs = 9_000;

/** Looks at every part; answers within ten seconds, whatever hangs. Changes nothing. */
export async function examine(patient: Patient): Promise<Finding[]> {
  const { config } = patient;
  const [database, queue, smtp, sender, disk] = await Promise.all([
    limited("database", checkDatabase(patient), (findings) => ({ findings, seen: null })),
    limited("queue", checkQueue(config), (findings) => ({ findings, redis: null })),
    limited("smtp", checkSmtp(config), (findings) => findings),
    limited("sender", checkSender(config), (findings) => findings),
    limited(
      "disk",
      Promise.resolve().then(() => checkDisk(config)),
      (findings) => findings,
    ),
  ]);
  const { seen } = database;
  return [
    ...checkConfiguration(patient),
    ...checkTokenSecrets(patient),
    ...database.findings,
    ...queue.findings,
    ...smtp,
    ...(seen === null ? [] : [checkClock(seen, queue.redis)]),
    ...sender,
    ...disk,
    ...(seen === null ? [] : await checkRunning(patient, seen)),
  ];
}

async function checkRunning(patient: Patient, seen: SeenFigures): Promise<Finding[]> {
  const looks = [
    ...[checkPauses(patient), checkFleet(patient), checkApiKeys(patient)],
    checkZones(patient),
    checkReadReplica(patient),
  ];
  return [...checkWork(patient, seen), ...(await Promise.all(looks)).flat()];
}

/** What cannot be used at all never gets here: it is refused with its own report. */
function checkConfiguration({ config: { warnings } }: Patient): Finding[] {
  if (warnings.length === 0) return [ok("configuration", "every setting makes sense")];
  return warnings.map((saw) => warning("configuration", saw, "See /docs/configuration."));
}

/** A check that throws or hangs is a finding, too. */
async function limited<T>(
  check: string,
  looking: Promise<T>,
  instead: (findings: Finding[]) => T,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const advice = "Try again; if it stays so, look at the network between.";
  const late = new Promise<T>((resolve) => {
    const saw = `no answer within ${limitMs / 1000} s`;
    timer = setTimeout(() => resolve(instead([failed(check, saw, advice)])), limitMs);
  });
  const looked = looking.catch((error: unknown) =>
    instead([failed(check, reasonOf(error), advice)]),
  );
  return Promise.race([looked, late]).finally(() => clearTimeout(timer));
}
