import type { FollowOptions } from "../../client/follow.ts";
import type { CommandIo } from "../command.ts";
import { plain } from "./paint.ts";

/** Says on stderr why a command that follows events waits, and for how long. */
export function tellFailures(
  command: string,
  { stderr }: Pick<CommandIo, "stderr">,
): NonNullable<FollowOptions["onFailure"]> {
  return ({ message }, waitMs) => {
    const seconds = waitMs / 1_000;
    stderr.write(`${command}: ${plain(message)}; connecting again in ${seconds} s\n`);
  };
}
