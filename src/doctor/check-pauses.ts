import { createPauses, type RestoredReport } from "../store/pauses.ts";
import { type Finding, ok, type Patient, warning } from "./finding.ts";
import { pauseWords, restoredWords } from "./pause-words.ts";

/** Whether somebody has stopped sending, which explains what is due and does not go out. */
export async function checkPauses({ database }: Patient): Promise<Finding[]> {
  if (database === null) return [];
  const pauses = await createPauses(database).list();
  const words = pauseWords(pauses);
  if (words === "") return [ok("sending", "nothing is paused")];
  const report = pauses.find(({ kind }) => kind === "database")?.restored;
  return [
    warning("sending", words, "Resume it once its reason is gone: what is due waits."),
    ...(report === undefined ? [] : [checkRestored(report)]),
  ];
}

/** Which emails a person has to decide about, and how to see them. */
function checkRestored(report: RestoredReport): Finding {
  const [after, before] = [report.knowsUntil, report.lastDueAt ?? report.noticedAt];
  const advice =
    "Compare them with the log of your SMTP server: GET /api/v1/scheduled-emails?status=pending" +
    `&scheduled_after=${after.toISOString()}&scheduled_before=${before.toISOString()} lists what was ` +
    "due then. Then `taskforce-mailer resume --restored` sends them, and with --hold each is held " +
    "for a decision. A copy for trials stays as it is: paused, it mails nobody.";
  return warning("restored", restoredWords(report), advice);
}
