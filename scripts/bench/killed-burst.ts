import { productSettings } from "./bench-product.ts";
import { ourselves } from "./contenders.ts";
import type { Measurement } from "./measurement.ts";
import { lossOf } from "./sink-dump.ts";

/**
 * An email fenced by a dead process waits until no reply can come any more: ten minutes by default,
 * and a minute until the next attempt.
 */
const env = { SMTP_REPLY_TIMEOUT_MS: "10000", RETRY_BASE_MS: "1000" };

/** Speed is worth nothing when it was bought with a lost mail. */
export const killedBurst: Measurement = {
  name: "killed-burst",
  what: "kill -9 to our process in the middle of a burst, and another one started at once.",
  async run(bench) {
    const count = bench.count(300, 5_000);
    const broken: string[] = [];
    const recoveryMs: number[] = [];
    const announced: number[] = [];
    for (let round = 1; round <= bench.rounds; round++) {
      bench.say(`round ${round}`);
      const us = await ourselves(bench.tools, env);
      const { sink, bench: parts } = us;
      try {
        const prefix = `k${round}-`;
        // All due at one moment, after the last is accepted: the kill has to meet the burst.
        const moment = new Date(Date.now() + 3_000 + count * 3);
        await parts.accept(prefix, count, moment.toISOString());
        await sink.waitFor(Math.ceil(count / 3), 120_000);
        const killedAt = performance.now();
        await parts.restart();
        await parts.untilAtRest(300_000);
        recoveryMs.push(performance.now() - killedAt);
        const found = sink.takeTally(prefix);
        const { rows } = await parts.sql.query<{ count: number }>(
          "select count(*)::integer as count from mailer.attempts where outcome = 'uncertain'",
        );
        const uncertain = rows[0]?.count ?? 0;
        const copies = found.mails - found.recipients;
        announced.push(uncertain);
        // A copy that an uncertain attempt announces is what on_uncertain: retry asks for.
        const unannounced = { ...found, mails: found.mails - Math.min(copies, uncertain) };
        broken.push(...lossOf(unannounced, count).map((words) => `round ${round}: ${words}`));
        const { sent = 0 } = await parts.states();
        if (sent !== count) broken.push(`round ${round}: ${sent} of ${count} are in state sent`);
      } finally {
        await us.close();
      }
    }
    return {
      figures: [
        { name: "killed in mid-burst: until all was sent", unit: "ms", values: recoveryMs },
        { name: "killed in mid-burst: uncertain attempts", unit: "×", values: announced },
      ],
      settings: { mails: count, ...productSettings(), ...env },
      broken,
    };
  },
};
