import { Counter } from "@prometheus-io/client";
import type { Accept } from "../emails/accept.ts";
import type { MinuteCounter } from "./count-minutes.ts";
import { type Metrics, prefix } from "./metrics.ts";

/** Counts the emails this process has accepted; a replayed answer accepts nothing. */
export function measureAccept(
  { registry }: Metrics,
  accept: Accept,
  minutes: Pick<MinuteCounter, "noteAccepted"> | null = null,
): Accept {
  const accepted = new Counter({
    name: `${prefix}emails_accepted_total`,
    help: "Emails this process has stored for their callers.",
    registers: [registry],
  });
  return {
    ...accept,
    async accept(request) {
      const answer = await accept.accept(request);
      if (answer.isReplay) return answer;
      accepted.inc(answer.emails.length);
      minutes?.noteAccepted(answer.emails.length);
      return answer;
    },
  };
}
