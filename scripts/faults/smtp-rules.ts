import { greylist, type SinkRule } from "../../src/testing/servers/smtp-sink-rules.ts";

/** By how the address begins: greylisted twice, full for ever, unknown; every other is taken. */
export function mixedRecipients(): SinkRule {
  const grey = greylist(2);
  return (context) => {
    if (context.phase !== "rcpt") return null;
    if (context.argument.startsWith("grey")) return grey(context);
    if (context.argument.startsWith("full")) return { do: "reply", text: "452 4.2.2 Mailbox full" };
    if (context.argument.startsWith("gone")) return { do: "reply", text: "550 5.1.1 No such user" };
    return null;
  };
}
