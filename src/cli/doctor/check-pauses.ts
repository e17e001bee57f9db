import { createPauses } from "../../store/pauses.ts";
import { pauseWords } from "../pause-words.ts";
import { type Finding, ok, type Patient, warning } from "./finding.ts";

/** Whether somebody has stopped sending, which explains what is due and does not go out. */
export async function checkPauses({ database }: Patient): Promise<Finding[]> {
  if (database === null) return [];
  const words = pauseWords(await createPauses(database).list());
  if (words === "") return [ok("sending", "nothing is paused")];
  return [warning("sending", words, "Resume it once its reason is gone: what is due waits.")];
}
