import { AppError } from "../errors.ts";
import type { Principal } from "./principal.ts";

/**
 * For what sends a webhook's events anywhere: its making, a change, a test, a replay. The owner of one for
 * everybody's events may be no admin any more, and a key of an admin may be none.
 */
export function assertMayDirect(
  { isAdmin }: Principal,
  { isGlobal }: { isGlobal: boolean },
  action = "change",
): void {
  if (!isGlobal || isAdmin) return;
  throw new AppError("forbidden", {
    publicDetail: `Only an admin may ${action} a webhook for everybody's events.`,
  });
}
