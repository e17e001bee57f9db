import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Envelope, SendReport, SmtpPhase, SmtpReply } from "../email/smtp.ts";
import { recipients } from "../testing/fixtures/smtp-fixtures.ts";
import { classify } from "./classify.ts";
import { isPermanent } from "./permanent.ts";

const reply = (code: number, enhanced: string | null = null): SmtpReply => ({
  code,
  enhanced,
  text: "words",
});

const envelopeOf = (count: number): Envelope => ({
  from: "s@example.com",
  recipients: recipients(count),
});

function report(changes: Partial<SendReport>): SendReport {
  return {
    phase: "reply",
    fenced: false,
    messageDate: null,
    reply: null,
    recipients: [],
    error: null,
    withheld: null,
    transport: "smtp.example.com:587",
    ...changes,
  };
}

const lost = (phase: SmtpPhase) => report({ phase, error: "connection reset by the server" });
const rcpt = (...replies: SmtpReply[]) => replies.map((r, position) => ({ position, reply: r }));

/** A short word for a verdict, so that a table can be read. */
function verdictWord(facts: SendReport, count = 1): string {
  const verdict = classify(facts, envelopeOf(count));
  switch (verdict.kind) {
    case "settle":
      return `${verdict.outcome}: ${verdict.recipients.map(({ status }) => status).join(" ")}`;
    case "uncertain":
      return ["uncertain", ...verdict.recipients.map(({ status }) => status)].join(" ");
    case "release":
      return `release ${verdict.reason}`;
    case "drop":
      return `drop ${verdict.reason}`;
  }
}

describe("before MAIL FROM", () => {
  const table: [SmtpPhase, SmtpReply, string][] = [
    ["greeting", reply(554, "5.7.1"), "release transport_refused"],
    ["greeting", reply(503), "release transport_refused"],
    ["ehlo", reply(550), "release transport_refused"],
    ["starttls", reply(502, "5.5.1"), "release transport_refused"],
    ["auth", reply(530), "release transport_refused"],
    ["auth", reply(534, "5.7.9"), "release transport_refused"],
    ["auth", reply(535, "5.7.8"), "release transport_refused"],
    ["auth", reply(538), "release transport_refused"],
    ["mail", reply(530, "5.7.0"), "release transport_refused"],
    ["rcpt", reply(530, "5.7.0"), "release transport_refused"],
    ["mail", reply(550, "5.7.57"), "release transport_refused"],
    // Temporary ones too: an email that is not even named yet cannot be what is wrong.
    ["greeting", reply(421), "release transport_refused"],
    ["ehlo", reply(451), "release transport_refused"],
    ["starttls", reply(454, "4.7.0"), "release transport_refused"],
    ["auth", reply(454, "4.7.0"), "release transport_refused"],
    ["greeting", reply(554, "4.3.2"), "release transport_refused"],
  ];
  for (const [phase, facts, expected] of table) {
    test(`${phase} ${facts.code} ${facts.enhanced ?? ""} is ${expected}`, () => {
      expect(verdictWord(report({ phase, reply: facts }))).toBe(expected);
    });
  }

  const faults: [SmtpPhase, SmtpReply | null, string, number | null][] = [
    ["auth", reply(535, "5.7.8"), "auth", 30_000],
    ["auth", reply(501), "auth", 30_000],
    ["auth", reply(454, "4.7.0"), "refused", null],
    ["mail", reply(530), "auth", 30_000],
    ["data", reply(530), "auth", 30_000],
    ["greeting", reply(554), "refused", 30_000],
    ["greeting", reply(554, "4.3.2"), "refused", null],
    ["greeting", reply(421), "refused", null],
    ["starttls", reply(454), "tls", null],
    ["starttls", reply(502), "tls", 30_000],
    ["starttls", null, "tls", 30_000],
    ["connect", null, "unreachable", null],
    ["mail", null, "unreachable", null],
  ];
  for (const [phase, said, reason, pauseMs] of faults) {
    test(`${phase} ${said?.code ?? "lost"} is the transport's: ${reason}, no attempt spent`, () => {
      const facts = said ? report({ phase, reply: said }) : lost(phase);
      const smtpCode = said?.code ?? null;
      const fault = { reason, smtpCode, pauseMs };
      expect(classify(facts, envelopeOf(2))).toMatchObject({ kind: "release", fault });
    });
  }

  test("a connection lost before MAIL FROM was answered is the transport's fault", () => {
    for (const phase of ["connect", "greeting", "ehlo", "auth", "mail"] as const)
      expect(verdictWord(lost(phase), 2)).toBe("release transport_unreachable");
    expect(verdictWord(lost("starttls"))).toBe("release transport_refused");
  });
});

describe("from MAIL FROM on", () => {
  const table: [string, Partial<SendReport>, number, string][] = [
    [
      "all sent",
      { reply: reply(250), recipients: rcpt(reply(250), reply(251)) },
      2,
      "sent: sent sent",
    ],
    [
      "some refused for good",
      { reply: reply(250), recipients: rcpt(reply(250), reply(550)) },
      2,
      "partial: sent bounced",
    ],
    [
      "some deferred",
      { reply: reply(250), recipients: rcpt(reply(450), reply(250)) },
      2,
      "partial: deferred sent",
    ],
    [
      "one recipient too many for one transaction",
      { reply: reply(250), recipients: rcpt(reply(250), reply(552), reply(550, "5.5.3")) },
      3,
      "partial: sent deferred deferred",
    ],
    [
      "552 with nobody accepted, or with a code that says why",
      { phase: "rcpt", reply: reply(552), recipients: rcpt(reply(552), reply(552, "5.2.2")) },
      2,
      "bounced: bounced bounced",
    ],
    [
      "MAIL refused for good speaks of the sender",
      { phase: "mail", reply: reply(550, "5.7.1") },
      2,
      "release sender_refused",
    ],
    [
      "MAIL refused without a code",
      { phase: "mail", reply: reply(553) },
      1,
      "release sender_refused",
    ],
    [
      "MAIL refused for the message's size",
      { phase: "mail", reply: reply(552, "5.3.4") },
      2,
      "bounced: bounced bounced",
    ],
    ["MAIL deferred", { phase: "mail", reply: reply(451) }, 2, "deferred: deferred deferred"],
    [
      "all refused at RCPT",
      { phase: "rcpt", reply: reply(550), recipients: rcpt(reply(550), reply(551)) },
      2,
      "bounced: bounced bounced",
    ],
    [
      "deferred and bounced at RCPT",
      { phase: "rcpt", reply: reply(550), recipients: rcpt(reply(451), reply(550)) },
      2,
      "deferred: deferred bounced",
    ],
    [
      "421 in the middle of RCPT",
      { phase: "rcpt", reply: reply(421), recipients: rcpt(reply(550), reply(421)) },
      3,
      "deferred: bounced deferred deferred",
    ],
    [
      "DATA refused",
      { phase: "data", reply: reply(554), recipients: rcpt(reply(250), reply(550)) },
      2,
      "bounced: bounced bounced",
    ],
    [
      "DATA deferred",
      { phase: "data", reply: reply(451), recipients: rcpt(reply(250), reply(550)) },
      2,
      "deferred: deferred bounced",
    ],
    [
      "the message refused",
      { reply: reply(554, "5.6.0"), recipients: rcpt(reply(250), reply(250)) },
      2,
      "bounced: bounced bounced",
    ],
    [
      "the message deferred",
      { reply: reply(451), recipients: rcpt(reply(250), reply(550)) },
      2,
      "deferred: deferred bounced",
    ],
    [
      "refused in mid-body",
      { phase: "body", reply: reply(552), recipients: rcpt(reply(250)) },
      1,
      "bounced: bounced",
    ],
  ];
  for (const [name, changes, count, expected] of table) {
    const fenced = changes.phase === undefined || changes.phase === "body";
    test(`${name}: ${expected}`, () => {
      expect(verdictWord(report({ fenced, ...changes }), count)).toBe(expected);
    });
  }

  test("a refusal of one recipient says nothing about one whose reply made no sense", () => {
    const recipients = [{ position: 1, reply: reply(550) }];
    const facts = report({ phase: "rcpt", reply: reply(550), recipients });
    expect(verdictWord(facts, 2)).toBe("deferred: deferred bounced");
  });

  test("lost before the fence: everyone is deferred but those refused for good", () => {
    for (const phase of ["rcpt", "data"] as const)
      expect(verdictWord({ ...lost(phase), recipients: rcpt(reply(550), reply(250)) }, 3)).toBe(
        "deferred: bounced deferred deferred",
      );
  });

  test("lost after the fence was granted but before the first byte: surely not sent", () => {
    const facts = { ...lost("fence"), fenced: true, recipients: rcpt(reply(250)) };
    expect(verdictWord(facts)).toBe("deferred: deferred");
  });

  test("lost after the fence: uncertain, but for those refused before it", () => {
    for (const phase of ["body", "reply"] as const) {
      const facts = { ...lost(phase), fenced: true, recipients: rcpt(reply(250), reply(550)) };
      expect(verdictWord(facts, 2)).toBe("uncertain bounced");
      const verdict = classify(facts, envelopeOf(2));
      expect(verdict).toMatchObject({ error: "connection reset by the server" });
    }
  });

  test("an answer that means nothing after the fence is no answer", () => {
    for (const code of [354, 150])
      expect(verdictWord(report({ fenced: true, reply: reply(code) }))).toBe("uncertain");
    expect(verdictWord(report({ phase: "body", fenced: true, reply: reply(250) }))).toBe(
      "uncertain",
    );
  });
});

test("what the fence withheld is dropped or released without an attempt", () => {
  const words = (["cancelled", "stale", "fence_failed", "aborted"] as const).map((withheld) =>
    verdictWord(report({ phase: "fence", withheld })),
  );
  expect(words).toEqual([
    "drop cancelled",
    "drop stale",
    "release fence_failed",
    "release aborted",
  ]);
});

describe("permanent or not", () => {
  const table: [number, string | null, boolean][] = [
    [550, null, true],
    [450, null, false],
    [503, null, false],
    [503, "5.5.1", false],
    [421, null, false],
    [550, "4.7.1", false],
    [450, "5.1.1", false],
    [554, "5.7.1", true],
    [451, "4.7.1", false],
    [550, "2.0.0", true],
    [552, "4.2.2", false],
    [552, "5.2.2", true],
    [452, "4.2.2", false],
    [421, "5.7.0", false],
    [550, "5.7.0", true],
    [451, "5.7.1", false],
  ];
  for (const [code, enhanced, expected] of table) {
    test(`${code} ${enhanced ?? ""}: ${expected ? "bounced" : "deferred"}`, () => {
      expect(isPermanent(reply(code, enhanced))).toBe(expected);
    });
  }
});

test("permanent takes a 5xx whose enhanced code does not say 4: a 4xx never bounces", () => {
  const digits = fc.integer({ min: 0, max: 999 });
  const anyCode = fc.integer({ min: 400, max: 599 }).filter((code) => code !== 503);
  fc.assert(
    fc.property(anyCode, fc.constantFrom(4, 5), digits, digits, (code, kind, subject, detail) => {
      const isFinal = code >= 500 && kind === 5;
      expect(isPermanent(reply(code, `${kind}.${subject}.${detail}`))).toBe(isFinal);
    }),
  );
});

describe("for every report", () => {
  const anyReply = fc.record({
    code: fc.oneof(
      fc.constantFrom(250, 251, 354, 421, 450, 451, 503, 530, 535, 550, 552, 554),
      fc.integer({ min: 200, max: 599 }),
    ),
    enhanced: fc.option(fc.constantFrom("2.0.0", "4.2.2", "4.7.1", "5.1.1", "5.7.1")),
    text: fc.constant("words"),
  });
  const phases: SmtpPhase[] = [
    ...(["connect", "greeting", "ehlo", "starttls", "auth", "mail"] as const),
    ...(["rcpt", "data", "fence", "body", "reply"] as const),
  ];
  const anyCase = fc
    .record({ count: fc.integer({ min: 1, max: 4 }), phase: fc.constantFrom(...phases) })
    .chain(({ count, phase }) =>
      fc.record({
        count: fc.constant(count),
        report: fc
          .record({
            phase: fc.constant(phase),
            fenced: fc.constant(phase === "body" || phase === "reply"),
            reply: fc.option(anyReply),
            rcptReplies: fc.array(anyReply, { minLength: count, maxLength: count }),
          })
          .map(({ rcptReplies, ...facts }) =>
            report({ ...facts, error: "lost", recipients: rcpt(...rcptReplies) }),
          ),
      }),
    );

  test("every recipient of a settled attempt has exactly one verdict", () => {
    fc.assert(
      fc.property(anyCase, ({ report: facts, count }) => {
        const verdict = classify(facts, envelopeOf(count));
        if (verdict.kind !== "settle") return;
        const positions = verdict.recipients.map(({ position }) => position);
        expect(positions).toEqual(recipients(count).map(({ position }) => position));
      }),
    );
  });

  test("somebody was sent the message if and only if the dot was answered with 2xx", () => {
    fc.assert(
      fc.property(anyCase, ({ report: facts, count }) => {
        const verdict = classify(facts, envelopeOf(count));
        const isTaken = facts.phase === "reply" && Math.floor((facts.reply?.code ?? 0) / 100) === 2;
        const isSomebodyNamed = facts.recipients.some((r) => Math.floor(r.reply.code / 100) === 2);
        if (isTaken && !isSomebodyNamed) return;
        const isSent =
          verdict.kind === "settle" && verdict.recipients.some(({ status }) => status === "sent");
        expect(isSent).toBe(isTaken);
      }),
    );
  });

  test("a lost connection bounces nobody who had not been refused", () => {
    fc.assert(
      fc.property(anyCase, ({ report: facts, count }) => {
        const accepted = facts.recipients.map((r) => ({ ...r, reply: reply(250) }));
        const verdict = classify(
          { ...facts, reply: null, recipients: accepted },
          envelopeOf(count),
        );
        if (verdict.kind !== "settle" && verdict.kind !== "uncertain") return;
        expect(verdict.recipients.some(({ status }) => status === "bounced")).toBe(false);
      }),
    );
  });

  test("only what lies behind the fence is ever uncertain", () => {
    fc.assert(
      fc.property(anyCase, ({ report: facts, count }) => {
        const { kind } = classify({ ...facts, fenced: false }, envelopeOf(count));
        expect(kind).not.toBe("uncertain");
      }),
    );
  });
});
