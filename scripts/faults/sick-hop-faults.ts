import { until } from "../../src/testing/servers/child-server.ts";
import type { SinkPhase, SinkRule } from "../../src/testing/servers/smtp-sink-rules.ts";
import { greylist } from "../../src/testing/servers/smtp-sink-rules.ts";
import { defineFault } from "./fault.ts";
import type { World } from "./world.ts";

/** RETRY_BASE_MS: each outage below lasts 30 of these minutes. */
const minuteMs = { small: 30, full: 1_000 };
const outageMinutes = 30;

/** Of two senders, at ten domains. */
function sickEmail(index: number): Record<string, unknown> {
  return {
    from: `sender-${index % 2}@example.org`,
    recipients: [`r${index}@domain-${index % 10}.test`],
  };
}

/** Settings of every process here. */
function settings(minute: number): Record<string, string> {
  return { RETRY_BASE_MS: String(minute), SMTP_FROM_ALLOWED: "example.org,example.net" };
}

function always(phase: SinkPhase, text: string): SinkRule {
  return (context) => (context.phase === phase ? { do: "reply", text } : null);
}

/** Attempts beyond the one that sent it, of all emails. */
async function countSpent(world: World): Promise<number> {
  const [row] = await world.sql<{ spent: number }>(
    "select coalesce(sum(attempts - 1), 0)::int as spent from mailer.emails where attempts > 1",
  );
  return row?.spent ?? 0;
}

/** What the next hop took is written down a moment later. */
async function settled(world: World): Promise<void> {
  await until("nothing is being sent", async () => {
    const [row] = await world.sql<{ left: number }>(
      "select count(*)::int as left from mailer.emails where state in ('pending', 'sending')",
    );
    return row?.left === 0;
  });
}

interface Sickness {
  phase: SinkPhase;
  text: string;
  /** Attempts that each email may spend before the hop is known to be sick. */
  spentEachMax: number;
}

/** Known at the second email, but for a policy at RCPT: greylisting gets its five minutes first. */
const sicknesses: Sickness[] = [
  { phase: "mail", text: "452 4.3.1 Out of storage", spentEachMax: 0 },
  { phase: "dot", text: "451 4.3.0 Local error", spentEachMax: 0 },
  { phase: "rcpt", text: "451 4.7.1 Try again later", spentEachMax: 2 },
  { phase: "mail", text: "550 5.7.1 Account suspended", spentEachMax: 0 },
  { phase: "dot", text: "454 Throttling failure: Daily message quota exceeded.", spentEachMax: 0 },
];

/** A first suspect waits a moment for a second one, and no longer. */
const spentBesides = 3;

export const hopSickInWords = defineFault({
  name: "hop-sick-in-words",
  what:
    "The next hop answers everybody 452 4.3.1 at MAIL for 30 minutes (RETRY_BASE_MS is the minute), " +
    "then 451 4.3.0 at the dot, 451 4.7.1 at RCPT, 550 5.7.1 at MAIL and 454 at the dot for as long, " +
    "each time with new mail due, and is well in between. No email may fail, nor spend attempts.",
  mails: { small: 100, full: 2_500 },
  limits: { latenessP99Ms: { small: 5_000, full: 60_000 } },
  async run(world) {
    const minute = minuteMs[world.scale];
    world.env.RETRY_BASE_MS = String(minute);
    await world.start({ role: "all", env: settings(minute) });
    const each = world.mails / sicknesses.length;
    for (const [turn, { phase, text, spentEachMax }] of sicknesses.entries()) {
      const spentBefore = await countSpent(world);
      await world.outage(async () => {
        world.sink.setRules(always(phase, text));
        await world.load.burst(each, (index) => sickEmail(turn * each + index));
        await Bun.sleep(outageMinutes * minute);
        world.sink.setRules();
      });
      await world.sink
        .waitForAcceptances((turn + 1) * each, 60 * minute + 10_000)
        .catch(() => world.miss(`not everything was sent after ${text} at ${phase}`));
      await settled(world);
      const spent = (await countSpent(world)) - spentBefore;
      const bound = spentEachMax * each + spentBesides;
      if (spent > bound) world.miss(`${text} at ${phase} cost ${spent} attempts, bound ${bound}`);
    }
  },
});

/** The sender of the one email that is refused. */
const oddSender = "odd@example.net";

const lonely: [SinkPhase, string][] = [
  ["mail", "450 4.1.8 Sender's domain not found"],
  ["dot", "451 4.3.0 Message cannot be scanned"],
];

export const refusedAlone = defineFault({
  name: "refused-alone",
  what: "One email is answered 450 4.1.8 at MAIL whenever it comes, and another 451 4.3.0 at the dot, among others that pass: it spends its own attempts, and nobody waits for it.",
  mails: { small: 240, full: 4_000 },
  limits: { latenessP99Ms: 2_000 },
  async run(world) {
    world.env.RETRY_BASE_MS = "50";
    await world.start({ role: "all", env: settings(50) });
    const each = world.mails / lonely.length;
    for (const [turn, [phase, text]] of lonely.entries()) {
      world.sink.setRules(({ phase: at, argument, envelope }) => {
        const sender = at === "mail" ? argument : envelope.from;
        return at === phase && sender === oddSender ? { do: "reply", text } : null;
      });
      await world.load.steady({
        count: each,
        perSecond: 60,
        fields: (index) =>
          index === 20 ? { from: oddSender, max_retries: 3 } : sickEmail(turn * each + index),
      });
      await world.sink
        .waitForAcceptances((turn + 1) * (each - 1), 10_000)
        .catch(() => world.miss("others waited for the one that is refused"));
      world.count();
    }
  },
});

export const greylistingHop = defineFault({
  name: "greylisting-hop",
  what: "The next hop greylists every address once (451 4.7.1 at RCPT), at 50 domains: each email goes with its second attempt, and nobody takes that for an outage.",
  mails: { small: 500, full: 5_000 },
  limits: { latenessP99Ms: { small: 5_000, full: 60_000 } },
  async run(world) {
    const minute = minuteMs[world.scale];
    world.env.RETRY_BASE_MS = String(minute);
    world.sink.setRules(greylist());
    await world.start({ role: "all", env: settings(minute) });
    await world.load.burst(world.mails, (index) => ({
      from: `sender-${index % 2}@example.org`,
      recipients: [`r${index}@domain-${index % 50}.test`],
    }));
    await world.sink
      .waitForAcceptances(world.mails, 60_000)
      .catch(() => world.miss("not everything was sent"));
    const [row] = await world.sql<{ most: number }>(
      "select max(attempts)::int as most from mailer.emails",
    );
    if (row?.most !== 2) world.miss(`an email needed ${row?.most} attempts, not 2`);
    world.count(world.mails);
  },
});

/** Each lower than the one before, since a limit that was met is heeded. */
const recipientLimits: [number, string][] = [
  [10, "452 4.5.3 Too many recipients"],
  [8, "451 4.5.3 Error: too many recipients"],
  [6, "552 Too many recipients"],
  [5, "554 5.5.3 Too many recipients"],
  [4, "550 5.5.3 Too many recipients"],
];

export const tooManyRecipients = defineFault({
  name: "too-many-recipients",
  what: "Emails to 50 recipients, of which the next hop takes 10, 8, 6, 5, 4 in one transaction and refuses the rest by 452 4.5.3, 451 4.5.3, 552, 554 5.5.3, 550 5.5.3: everybody is sent it, at once, with no retry to spend.",
  mails: { small: 25, full: 500 },
  limits: { latenessP99Ms: { small: 2_000, full: 30_000 } },
  async run(world) {
    await world.start({ role: "all", env: settings(60_000) });
    world.env.RETRY_BASE_MS = "60000";
    const each = world.mails / recipientLimits.length;
    for (const [limit, text] of recipientLimits) {
      world.sink.setRules(({ phase, envelope }) =>
        phase === "rcpt" && envelope.recipients.length >= limit ? { do: "reply", text } : null,
      );
      await world.load.burst(each, (index) => ({
        recipients: Array.from({ length: 50 }, (_, n) => `r${index}-${n}@example.test`),
        max_retries: 0,
      }));
      await settled(world);
      world.count(each);
    }
    const [row] = await world.sql<{ left: number }>(
      "select count(*)::int as left from mailer.recipients where status <> 'sent'",
    );
    if (row?.left !== 0) world.miss(`${row?.left} recipients were not sent it`);
  },
});
