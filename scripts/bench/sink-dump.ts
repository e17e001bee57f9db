/** What a dump of smtp-sink holds of the recipients that begin with `prefix`. */
export interface Tally {
  /** Mails taken. */
  mails: number;
  messageIds: number;
  recipients: number;
}

/**
 * A mail begins with `X-Client-Addr`, which no message of ours holds. Each mail of a burst has a
 * recipient of its own, since a library that sends one twice gives it another Message-ID.
 */
export function tally(dump: string, prefix: string): Tally {
  const messageIds = new Set<string>();
  const recipients = new Set<string>();
  let mails = 0;
  for (const mail of dump.split(/^X-Client-Addr: /m).slice(1)) {
    const head = mail.slice(0, mail.search(/\r?\n\r?\n/));
    const recipient = /^X-Rcpt-Args: <([^>]*)>/im.exec(head)?.[1] ?? "";
    if (!recipient.startsWith(prefix)) continue;
    mails += 1;
    recipients.add(recipient);
    const id = /^message-id:\s*(\S+)/im.exec(head)?.[1];
    if (id !== undefined) messageIds.add(id);
  }
  return { mails, messageIds: messageIds.size, recipients: recipients.size };
}

/** Words for what was lost or doubled of `count` mails; none when all is well. */
export function lossOf({ mails, messageIds, recipients }: Tally, count: number): string[] {
  const words: string[] = [];
  if (recipients < count) words.push(`${count - recipients} of ${count} lost`);
  if (mails > recipients) words.push(`${mails - recipients} doubled`);
  if (messageIds !== recipients) words.push(`${messageIds} Message-IDs for ${recipients} mails`);
  return words;
}
