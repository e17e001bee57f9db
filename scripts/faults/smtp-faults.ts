import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { guardedFolder } from "../../src/testing/product/product.ts";
import type { SinkAction, SinkRule } from "../../src/testing/servers/smtp-sink-rules.ts";
import { defineFault } from "./fault.ts";
import { type MatrixCell, matrixCells, matrixRule } from "./smtp-matrix.ts";
import { mixedRecipients } from "./smtp-rules.ts";
import type { World } from "./world.ts";

const account = { user: "mailer@example.test", pass: "s3cret-of-the-smtp-account" };

/** Settings that make every phase happen: STARTTLS and AUTH before each first email. */
function secured(world: World): Record<string, string> {
  const file = join(guardedFolder("ca"), "ca.pem");
  writeFileSync(file, world.sink.ca ?? "");
  return {
    SMTP_TLS: "required",
    SMTP_SECURE: "false",
    SMTP_TLS_CA: file,
    SMTP_USER: account.user,
    SMTP_PASS: account.pass,
  };
}

/** Half under `hold`; some with several recipients, so that RCPT has something to part. */
function matrixEmail(index: number): Record<string, unknown> {
  const count = index % 3 === 0 ? 3 : 1;
  return {
    recipients: Array.from({ length: count }, (_, n) => `r${index}-${n}@example.test`),
    on_uncertain: index % 2 === 0 ? "retry" : "hold",
    max_retries: 20,
  };
}

export const everySmtpReply = defineFault({
  name: "every-smtp-code-in-every-phase",
  what:
    "The next hop answers each phase (banner, EHLO, STARTTLS, TLS handshake, AUTH, MAIL, RCPT, " +
    "DATA, body, dot) with each class of reply (wrong 2xx and 3xx, 421, 450, 451, 452, 500, 503, " +
    "530, 535, 550, 550 4.2.1, 552 5.2.2, 554, multi-line, garbage), drips, hangs or drops.",
  mails: { small: 300, full: 3_000 },
  parts: { sink: { tls: "starttls", auth: account }, env: { SMTP_POOL_SIZE: "20" } },
  limits: { latenessP99Ms: 45_000 },
  async run(world) {
    const isFull = world.scale === "full";
    // Silence lasts as long as its deadline, 30 s and more: the small scale leaves it out.
    const cells = matrixCells.filter(({ isSlow }) => isFull || !isSlow);
    const rule = matrixRule(cells, world.draw, 1);
    world.sink.setRules(rule.rule);
    const env = secured(world);
    await world.start({ role: "api", env });
    await world.start({ role: "worker", env });
    const load = world.load.steady({
      count: world.mails,
      perSecond: isFull ? 30 : 40,
      fields: matrixEmail,
    });
    // A next hop that fails in every other phase is sick until all is met: lateness is judged beyond it.
    await world.outage(async () => {
      await load;
      // What no email met on the way is met by a few more.
      // While the breaker has one connection probe, silence is met one after the other.
      // Two suspicious replies in a row open it too, so that fewer connections meet a cell at once.
      const moreMax = isFull ? 1_000 : 70;
      for (let more = 0; more < moreMax && rule.left().length > 0; more++) {
        world.say(`${rule.left().length} cells left`);
        await world.load.burst(isFull ? 5 : 20, (index) =>
          matrixEmail(world.mails + more * 20 + index),
        );
        await Bun.sleep(1_500);
      }
    });
    const unmet = rule.left();
    world.count(rule.done());
    if (unmet.length > 0) {
      const first = unmet.slice(0, 5).map(nameOf).join(", ");
      world.miss(`${unmet.length} cells never met, such as ${first}`);
    }
    world.sink.setRules();
  },
});

function nameOf({ phase, words }: MatrixCell): string {
  return `${words} at ${phase}`;
}

/** Every so many-th dot is answered so; the others as ever. */
function someDots(actions: (SinkAction | null)[]): SinkRule {
  let count = 0;
  return ({ phase }) => {
    if (phase !== "dot") return null;
    count += 1;
    return actions[count % actions.length] ?? null;
  };
}

export const dotReplyLost = defineFault({
  name: "reply-to-the-dot-lost",
  what: "The connection is lost at the dot of two emails in five, one taken and one not; half of the emails under on_uncertain: hold.",
  mails: { small: 300, full: 5_000 },
  limits: { latenessP99Ms: 3_000 },
  async run(world) {
    await world.start({ role: "api" });
    await world.start({ role: "worker" });
    const lost: (SinkAction | null)[] = [
      { do: "accept_then_drop" },
      null,
      { do: "drop" },
      null,
      null,
    ];
    world.sink.setRules(someDots(lost));
    await world.load.steady({
      count: world.mails,
      perSecond: 60,
      fields: (index) => ({ on_uncertain: index % 2 === 0 ? "retry" : "hold", max_retries: 20 }),
    });
    world.count(Math.floor((world.sink.acceptances.length * 2) / 5));
  },
});

export const partialAcceptance = defineFault({
  name: "partial-and-greylisted",
  what: "Emails to several recipients, of whom the next hop takes some, greylists some twice, and refuses some for good or for as long as it is asked.",
  mails: { small: 200, full: 3_000 },
  limits: { latenessP99Ms: 3_000 },
  async run(world) {
    await world.start({ role: "api" });
    await world.start({ role: "worker" });
    world.sink.setRules(mixedRecipients());
    const kinds = ["good", "grey", "gone", "full"] as const;
    await world.load.steady({
      count: world.mails,
      perSecond: 60,
      fields: (index) => ({
        recipients: kinds
          .filter((_, bit) => ((index % 15) + 1) & (1 << bit))
          .map((kind) => `${kind}-${index}@example.test`),
        max_retries: 3,
      }),
    });
    world.count(world.mails);
  },
});
