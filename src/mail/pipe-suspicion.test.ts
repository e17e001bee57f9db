import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { SendReport, SmtpPhase } from "../email/smtp.ts";
import { createPipeSuspicion, type Judgement, type Trial } from "./pipe-suspicion.ts";
import { parseReply } from "./smtp-reply.ts";

const minuteMs = 60_000;

/** A suspicion with a clock of its own; `tell` judges one email's conversation. */
function suspicion() {
  let now = 0;
  const pipe = createPipeSuspicion({ minuteMs, now: () => now });
  const tell = (emailId: string, said: Said, whose: Partial<Trial> = {}) =>
    pipe.judge(trial(emailId, said, whose));
  const pass = (minutes: number): void => {
    now += minutes * minuteMs;
  };
  return { pipe, tell, pass };
}

/** Where it ended, and the reply that ended it. */
type Said = [SmtpPhase, string];

function trial(emailId: string, [phase, raw]: Said, whose: Partial<Trial>): Trial {
  const reply = parseReply(raw);
  const report: SendReport = {
    phase,
    fenced: phase === "reply",
    messageDate: null,
    reply,
    recipients: phase === "rcpt" && reply ? [{ position: 0, reply }] : [],
    error: null,
    withheld: null,
    transport: "smtp.example.com:587",
  };
  const sender = `from-${emailId}@example.org`;
  return { emailId, sender, domains: [`${emailId}.test`], report, isProbe: false, ...whose };
}

const taken: Said = ["reply", "250 2.0.0 queued"];
const full: Said = ["mail", "452 4.3.1 Insufficient system storage"];
const local: Said = ["reply", "451 4.3.0 Temporary failure"];
const grey: Said = ["rcpt", "451 4.7.1 Greylisted"];
const suspended: Said = ["mail", "550 5.7.1 Account suspended"];

const isTransport = (judgement: Judgement) => judgement.kind === "transport";

describe("the transport's once two different emails got it", () => {
  const table: Said[] = [
    ["mail", "421 4.7.0 Try again later"],
    ["mail", "450 4.7.1 Error: too much mail from 192.0.2.9"],
    ["mail", "451 Local error"],
    ["mail", "451 4.3.5 Server configuration error"],
    ["mail", "503 5.5.1 Bad sequence"],
    full,
    suspended,
    ["rcpt", "421 4.3.2 Shutting down"],
    ["rcpt", "451 4.3.0 <x@y.test>: Temporary lookup failure"],
    ["data", "451 4.3.0 Queue file write error"],
    ["data", "454 4.7.0 Temporary authentication failure"],
    local,
    ["reply", "421 4.3.0 Closing"],
    ["reply", "454 Throttling failure: Daily message quota exceeded."],
    ["body", "452 4.3.1 Out of storage"],
  ];
  for (const said of table) {
    test(`${said[1]} at ${said[0]}`, () => {
      const { tell, pipe } = suspicion();
      expect(tell("1", said).kind).toBe("suspect");
      expect(tell("1", said).kind).toBe("suspect");
      expect(tell("2", said)).toMatchObject({ kind: "transport", fault: { reason: "rejecting" } });
      expect(pipe.isRejecting).toBe(true);
      // From then on one is enough, of the first email too.
      expect(tell("1", said).kind).toBe("transport");
    });
  }
});

describe("never the transport's, however many get it", () => {
  const table: Said[] = [
    ["mail", "552 5.3.4 Message size exceeds fixed limit"],
    ["mail", "452 4.3.4 Message too large"],
    ["rcpt", "450 4.2.1 Mailbox busy"],
    ["rcpt", "452 4.2.2 Mailbox full"],
    ["rcpt", "450 4.1.1 Unverified address"],
    ["rcpt", "451 Local error"],
    ["rcpt", "550 5.7.1 Refused"],
    ["rcpt", "550 5.1.1 No such user"],
    ["data", "451 4.7.1 Try later"],
    ["reply", "451 4.7.0 Content looks odd"],
    ["reply", "550 5.7.1 Spam"],
    ["reply", "554 5.6.0 Broken"],
  ];
  for (const said of table) {
    test(`${said[1]} at ${said[0]}`, () => {
      const { tell } = suspicion();
      const kinds = ["1", "2", "3"].map((id) => tell(id, said).kind);
      expect(kinds).toEqual(["email", "email", "email"]);
    });
  }

  test("another 5xx at MAIL is the sender's", () => {
    const { tell } = suspicion();
    const said: Said = ["mail", "553 5.1.8 Sender's domain does not exist"];
    expect([tell("1", said).kind, tell("2", said).kind]).toEqual(["sender", "sender"]);
  });
});

test("those who wait are told: of the fault, or that others get through", async () => {
  const { tell } = suspicion();
  const first = tell("1", full);
  tell("2", full);
  expect(first.kind === "suspect" && (await first.isShared)).toMatchObject({
    reason: "rejecting",
    smtpCode: 452,
    said: "452 4.3.1 at MAIL: Insufficient system storage",
  });
  const { tell: again } = suspicion();
  const alone = again("1", local);
  again("2", taken);
  expect(alone.kind === "suspect" && (await alone.isShared)).toBeNull();
});

test("a success between makes it the email's", () => {
  const { tell } = suspicion();
  for (const said of [full, local, suspended]) {
    tell("1", said);
    tell("2", taken);
    expect(isTransport(tell("3", said))).toBe(false);
    tell("4", taken);
  }
});

test("who was refused alone while others passed proves nothing together with his like", () => {
  const { tell } = suspicion();
  for (const id of ["1", "2"]) {
    tell(id, local);
    tell("passing", taken);
  }
  expect([tell("1", local).kind, tell("2", local).kind]).toEqual(["suspect", "suspect"]);
  // A third, that passed before, does.
  expect(isTransport(tell("passing", local))).toBe(true);
});

describe("of two senders where there are two", () => {
  const same = { sender: "a@example.org" };

  test("two emails of one sender are not enough while another is there", () => {
    const { tell, pass } = suspicion();
    tell("0", taken, { sender: "b@example.org" });
    pass(1);
    tell("1", full, same);
    expect(isTransport(tell("2", full, same))).toBe(false);
    expect(isTransport(tell("3", full, { sender: "b@example.org" }))).toBe(true);
  });

  test("they are when no other was heard of since the first retry", () => {
    const { tell, pass } = suspicion();
    tell("0", taken, { sender: "b@example.org" });
    tell("1", full, same);
    pass(2);
    expect(isTransport(tell("2", full, same))).toBe(true);
  });
});

describe("at RCPT", () => {
  const temporary: Said = ["rcpt", "451 4.3.0 Temporary lookup failure"];

  test("two emails to one domain are not enough, two domains are", () => {
    const { tell } = suspicion();
    tell("1", temporary, { domains: ["x.test"] });
    expect(isTransport(tell("2", temporary, { domains: ["x.test"] }))).toBe(false);
    expect(isTransport(tell("3", temporary, { domains: ["x.test", "y.test"] }))).toBe(true);
  });

  test("greylisting passes: nothing is held against the transport for five minutes", () => {
    const { tell, pass, pipe } = suspicion();
    const ids = Array.from({ length: 50 }, (_, index) => `${index}`);
    for (const id of ids) expect(tell(id, grey)).toEqual({ kind: "email", hasShown: true });
    pass(2);
    for (const id of ids) expect(tell(id, grey).kind).toBe("email");
    expect(pipe.isRejecting).toBe(false);
  });

  test("who is refused again after that is counted, at two domains", () => {
    const { tell, pass } = suspicion();
    for (const id of ["1", "2", "3"]) tell(id, grey);
    pass(6);
    expect(tell("1", grey).kind).toBe("suspect");
    expect(tell("new", grey).kind).toBe("email");
    expect(isTransport(tell("2", grey))).toBe(true);
    // While it is the transport's, nobody is taken to be greylisted.
    expect(isTransport(tell("newer", grey))).toBe(true);
  });
});

describe("a probe", () => {
  test("that is refused so keeps the transport at fault, alone", () => {
    const { tell } = suspicion();
    expect(isTransport(tell("1", full, { isProbe: true }))).toBe(true);
  });

  test("that comes less far shows nothing, one that comes as far shows that it works", () => {
    const { tell, pipe } = suspicion();
    tell("1", local);
    tell("2", local);
    expect(tell("3", ["rcpt", "550 5.1.1 No such user"])).toEqual({
      kind: "email",
      hasShown: false,
    });
    expect(tell("4", ["reply", "554 5.6.0 Broken"])).toEqual({ kind: "email", hasShown: true });
    expect(pipe.isRejecting).toBe(false);
  });

  test("a message that is too large for what EHLO announced shows nothing", () => {
    const { tell, pipe } = suspicion();
    tell("1", full);
    tell("2", full);
    tell("3", ["mail", "552 5.3.4 Message size exceeds fixed limit"]);
    expect(pipe.isRejecting).toBe(true);
  });
});

test("one email alone is never the transport's, whatever others come to", () => {
  const anySaid = fc.constantFrom<Said>(taken, ["rcpt", "550 5.1.1 No such user"], grey);
  const bad = fc.constantFrom<Said>(full, local, suspended, ["mail", "450 4.1.8 Sender unknown"]);
  const step = fc.oneof(
    bad.map((said) => ["bad", said] as const),
    fc.tuple(fc.constantFrom("a", "b", "c"), anySaid),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { tell } = suspicion();
      expect(steps.some(([id, said]) => isTransport(tell(id, said)))).toBe(false);
    }),
  );
});

test("whatever was refused, one success ends it, and two refusals begin it", () => {
  const refusals = fc.array(fc.tuple(fc.constantFrom("1", "2", "3"), fc.constantFrom(full, local)));
  fc.assert(
    fc.property(refusals, (before) => {
      const { tell, pipe } = suspicion();
      for (const [id, said] of before) tell(id, said);
      expect(tell("good", taken)).toEqual({ kind: "email", hasShown: true });
      expect(pipe.isRejecting).toBe(false);
      tell("new", local);
      expect(isTransport(tell("newer", local))).toBe(true);
    }),
  );
});
