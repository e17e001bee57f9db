import { mostWithin } from "../../src/testing/model/sliding-window.ts";
import { createSmtpSink } from "../../src/testing/servers/smtp-sink.ts";
import { productSettings, startBenchProduct } from "./bench-product.ts";
import type { Measurement } from "./measurement.ts";
import { apiMail } from "./messages.ts";
import { distribution } from "./picture.ts";
import { percentile } from "./statistics.ts";

const perSecond = 100;
const leadMs = 5_000;

/** Times to the millisecond come from a sink of ours; at 100 mails/s it is no bottleneck. */
export const lateness: Measurement = {
  name: "lateness",
  what: "100 mails a second, each due at a millisecond of its own, on a Redis as its package sets it.",
  async run(bench) {
    const sink = await createSmtpSink();
    const us = await startBenchProduct(sink.port, { redis: "package" });
    const count = bench.count(100, 3_000);
    const dueAt = new Map<string, number>();
    const rounds: number[][] = [];
    let acceptedLate = 0;
    try {
      for (let round = 0; round <= bench.rounds; round++) {
        bench.say(round === 0 ? "warming up" : `round ${round}`);
        const size = round === 0 ? perSecond : count;
        const prefix = `l${round}-`;
        const begin = Date.now() + leadMs;
        const posts: Promise<{ status: number }>[] = [];
        for (let index = 0; index < size; index++) {
          // Posted in the order and at the pace at which they become due, the lead before.
          const due = begin + (index * 1_000) / perSecond;
          await Bun.sleep(Math.max(0, due - leadMs - Date.now()));
          const mail = apiMail(prefix, index, new Date(due).toISOString());
          dueAt.set(`${prefix}${index}@example.test`, due);
          const post = us.product.api("POST", "/api/v1/schedule-mail", mail, us.token);
          posts.push(post);
          void post.then(() => {
            if (Date.now() > due) acceptedLate += 1;
          });
        }
        const refused = (await Promise.all(posts)).filter(({ status }) => status !== 201).length;
        if (refused > 0) throw new Error(`${refused} of ${size} were not accepted`);
        await sink.waitForAcceptances(dueAt.size, leadMs + 120_000);
        const late = sink.acceptances
          .map(({ at, envelope }) => ({ at: at.getTime(), to: envelope.recipients[0] ?? "" }))
          .filter(({ to }) => to.startsWith(prefix))
          .map(({ at, to }) => at - (dueAt.get(to) ?? Number.NaN));
        if (round > 0) rounds.push(late);
      }
      const early = rounds.flat().filter((ms) => ms < 0).length;
      const lost =
        dueAt.size - new Set(sink.acceptances.map(({ envelope }) => envelope.recipients[0])).size;
      const doubled = sink.acceptances.length - (dueAt.size - lost);
      return {
        figures: [
          {
            name: "lateness at 100 mails/s on a stock Redis, p99",
            unit: "ms",
            values: rounds.map((values) => percentile(values, 0.99)),
            target: { gate: 40, aim: 15, better: "lower" },
          },
          { name: "lateness, p50", unit: "ms", values: rounds.map((v) => percentile(v, 0.5)) },
          { name: "lateness, most", unit: "ms", values: rounds.map((v) => percentile(v, 1)) },
        ],
        settings: {
          mails: count,
          "per second": perSecond,
          "due after": "5 s",
          ...productSettings(),
        },
        broken: [
          // Not lateness of sending, then: this machine cannot accept 100 mails a second.
          ...(acceptedLate > 0 ? [`${acceptedLate} accepted only after their time`] : []),
          ...(early > 0 ? [`${early} early`] : []),
          ...(lost > 0 ? [`${lost} lost`] : []),
          ...(doubled > 0 ? [`${doubled} doubled`] : []),
        ],
        curves: [distribution("Taskforce Mailer", rounds.at(-1) ?? [])],
      };
    } finally {
      await us.close();
      await sink.close();
    }
  },
};

/** A provider's limit, kept for a minute with more due than it lets through. */
export const rateLimit: Measurement = {
  name: "rate-limit",
  what: "A transport limited to 14/s with more due than that, for a minute.",
  async run(bench) {
    const limit = 14;
    const seconds = bench.count(5, 60);
    const shares: number[] = [];
    const inOneSecond: number[] = [];
    for (let round = 1; round <= bench.rounds; round++) {
      bench.say(`round ${round}`);
      const sink = await createSmtpSink();
      const us = await startBenchProduct(sink.port, {
        env: { SMTP_RATE_PER_SECOND: String(limit) },
      });
      try {
        await us.accept("rate-", limit * (seconds + 15));
        await sink.waitForAcceptances(1, 30_000);
        await Bun.sleep(seconds * 1_000 + 1_000);
        const times = sink.acceptances.map(({ at }) => at.getTime());
        const end = (times[0] ?? 0) + seconds * 1_000;
        shares.push(times.filter((at) => at < end).length / (limit * seconds));
        // At the sink, so that a second may hold one or two that the way there delayed.
        inOneSecond.push(mostWithin(times, 1_000));
      } finally {
        await us.close();
        await sink.close();
      }
    }
    const isOver = shares.some((share) => share > 1);
    return {
      figures: [
        {
          name: `limited to ${limit}/s: delivered/s over ${seconds} s ÷ ${limit}`,
          unit: "×",
          values: shares,
          target: { gate: 0.95, aim: 0.99, better: "higher" },
        },
        { name: "most within any second", unit: "/s", values: inOneSecond },
      ],
      settings: { seconds, ...productSettings() },
      broken: isOver ? ["more in a minute than the limit allows"] : [],
    };
  },
};
