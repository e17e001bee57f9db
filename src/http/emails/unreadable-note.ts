import type { Logger } from "../../log.ts";

/** Tells the log of an email that does not open. */
export type UnreadableNote = (emailId: string, fault: Error) => void;

/** A list that is asked for every second would fill the log; beyond this many it may say so again. */
const rememberedMax = 10_000;

/** Once for each email, as long as this process lives. */
export function createUnreadableNote(log: Logger): UnreadableNote {
  const told = new Set<string>();
  return (emailId, fault) => {
    if (told.has(emailId)) return;
    if (told.size >= rememberedMax) told.clear();
    told.add(emailId);
    log.error("email cannot be decrypted", { email_id: emailId, err: fault });
  };
}
