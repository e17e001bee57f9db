import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { simpleParser } from "mailparser";
import { AppError } from "../errors.ts";
import { createChanges } from "../store/changes.ts";
import type { Database } from "../store/database.ts";
import { createEmails } from "../store/emails.ts";
import { createPauses } from "../store/pauses.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { adminClaims } from "../testing/fixtures/new-email.ts";
import { createDelivery, type Delivery } from "../testing/product/delivery.ts";
import { until } from "../testing/servers/child-server.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";
import {
  acceptThenDrop,
  dropAt,
  hangAt,
  replyAt,
  scripted,
} from "../testing/servers/smtp-sink-rules.ts";

/** From accept to the settled end over a real database and a real SMTP conversation. */
describe("deliverOne", () => {
  let database: Database;
  let sink: SmtpSink;
  let delivery: Delivery;
  beforeAll(async () => {
    database = createPostgresDatabase({ url: (await freshDatabase()).url });
  }, 60_000);
  afterAll(() => database.close());
  beforeEach(async () => {
    sink = await createSmtpSink();
    delivery = createDelivery(database, { sink });
  });
  afterEach(async () => {
    await delivery.close();
    await sink.close();
  });

  test("an accepted email is sent once, as it was composed", async () => {
    const id = await delivery.accept({ subject: "Grüße", body: "Ein Text.\n" });
    expect(await delivery.run(id)).toEqual({ kind: "settled", state: "sent", outcome: "sent" });
    expect(await delivery.run(id)).toEqual({ kind: "not_claimed" });
    expect(sink.acceptances.length).toBe(1);
    const mail = await simpleParser(Buffer.from(sink.acceptances[0]?.message ?? []));
    expect(mail.subject).toBe("Grüße");
    expect(mail.text).toBe("Ein Text.\n");
    expect(mail.date).toBeInstanceOf(Date);
  });

  test("a 451 is tried again and then sent, with the same Message-ID", async () => {
    sink.setRules(replyAt("dot", "451 4.3.0 Try again", { times: 1 }));
    const id = await delivery.accept();
    expect(await delivery.run(id)).toMatchObject({ state: "pending", outcome: "deferred" });
    expect(delivery.told.at(-1)).toEqual({ delayMs: 2 });
    expect(await delivery.run(id)).toMatchObject({ state: "sent" });
    const read = await delivery.read(id);
    expect(read.attempts.map(({ outcome, smtpCode }) => [outcome, smtpCode])).toEqual([
      ["deferred", 451],
      ["sent", 250],
    ]);
    expect(read.attempts[0]?.reply).toContain("Try again");
  });

  test("a 550 ends the email after one attempt, and the reply is kept", async () => {
    sink.setRules(replyAt("rcpt", "550 5.1.1 No such user"));
    const id = await delivery.accept();
    expect(await delivery.run(id)).toMatchObject({ state: "failed", outcome: "bounced" });
    const read = await delivery.read(id);
    expect(read.recipients).toMatchObject([{ status: "bounced", smtpCode: 550 }]);
    expect(read.recipients[0]?.reply).toContain("No such user");
  });

  test("of three recipients only the deferred one is tried again", async () => {
    sink.setRules(
      replyAt("rcpt", "451 4.7.1 Greylisted", { argument: "two@example.com", times: 1 }),
      replyAt("rcpt", "550 5.1.1 Unknown", { argument: "three@example.com" }),
    );
    const to = ["one", "two", "three"].map((name) => ({
      address: `${name}@example.com`,
      name: null,
    }));
    const id = await delivery.accept({ to });
    expect(await delivery.run(id)).toMatchObject({ state: "pending", outcome: "partial" });
    expect(await delivery.run(id)).toMatchObject({ state: "partially_sent", outcome: "sent" });
    expect(sink.acceptances.map(({ envelope }) => envelope.recipients)).toEqual([
      ["one@example.com"],
      ["two@example.com"],
    ]);
    expect(new Set(sink.acceptances.map(({ messageId }) => messageId)).size).toBe(1);
    const { recipients } = await delivery.read(id);
    expect(recipients.map(({ status }) => status)).toEqual(["sent", "sent", "bounced"]);
  });

  test("when the tries run out the email fails with its last reply", async () => {
    sink.setRules(replyAt("dot", "452 4.2.2 Mailbox full"));
    const id = await delivery.accept({ maxRetries: 1 });
    await delivery.run(id);
    expect(await delivery.run(id)).toMatchObject({ state: "failed", outcome: "deferred" });
    const { recipients } = await delivery.read(id);
    expect(recipients).toMatchObject([{ status: "deferred", smtpCode: 452 }]);
  });

  test("a 554 in the banner spends no attempt and holds the others back", async () => {
    sink.setRules(replyAt("greeting", "554 5.7.1 Go away"));
    const id = await delivery.accept();
    expect(await delivery.run(id)).toEqual({ kind: "released", reason: "transport_refused" });
    expect(delivery.deps.breaker.snapshot()).toMatchObject({ state: "open", smtpCode: 554 });
    expect(await delivery.read(id)).toMatchObject({ status: "pending", attempts: [] });
    // Half a minute, on the scale of these tests.
    expect(delivery.told.at(-1)?.delayMs ?? 0).toBeGreaterThan(0);
  });

  test("a transport that refuses us past max_age ends the email, with the reply on record", async () => {
    sink.setRules(replyAt("greeting", "554 5.7.1 Go away"));
    const id = await delivery.accept({ maxAgeSeconds: 29 });
    expect(await delivery.run(id)).toMatchObject({ state: "failed", outcome: "deferred" });
    const { attempts, recipients } = await delivery.read(id);
    expect(attempts).toMatchObject([{ outcome: "deferred", smtpCode: 554 }]);
    expect(recipients).toMatchObject([{ status: "deferred", smtpCode: 554 }]);
  });

  test("a refused connection spends no attempt; the email is back when the breaker probes", async () => {
    await sink.close();
    const id = await delivery.accept();
    const released = { kind: "released", reason: "transport_unreachable" } as const;
    // More often than max_retries would allow.
    for (let tries = 0; tries < 6; tries++) expect(await delivery.run(id)).toEqual(released);
    expect(delivery.deps.breaker.snapshot()).toMatchObject({ state: "open", failures: 6 });
    expect(await delivery.read(id)).toMatchObject({ status: "pending", attempts: [] });
    expect(delivery.told.at(-1)?.delayMs ?? 0).toBeGreaterThan(150);
  });

  test("an unreachable host past max_age ends the email at once, and says why", async () => {
    await sink.close();
    const id = await delivery.accept({ maxAgeSeconds: 29 });
    expect(await delivery.run(id)).toMatchObject({ state: "failed", outcome: "deferred" });
    const { attempts } = await delivery.read(id);
    expect(attempts[0]?.reply).toContain("connection refused");
  });

  test("an email that waited for its connection while the breaker opened is not tried", async () => {
    const gate = Promise.withResolvers<void>();
    delivery = createDelivery(database, { sink, settings: { poolSize: 1 } });
    sink.setRules(
      scripted({ phase: "greeting", action: { do: "wait", until: gate.promise }, times: 1 }),
      replyAt("greeting", "554 5.7.1 Go away"),
    );
    const ids = [await delivery.accept(), await delivery.accept()];
    const first = delivery.run(ids[0] ?? "");
    await sink.waitForPhase("greeting");
    const second = delivery.run(ids[1] ?? "");
    await until("both are claimed", () => delivery.deps.claimsInMemory.count === 2);
    sink.dropConnections();
    gate.resolve();
    expect(await first).toEqual({ kind: "released", reason: "transport_unreachable" });
    expect(await second).toEqual({ kind: "released", reason: "aborted" });
    expect(sink.connectionCount).toBe(1);
    for (const id of ids) {
      expect(await delivery.read(id)).toMatchObject({ status: "pending", attempts: [] });
    }
  });

  test("a 421 defers its email, and others for that domain wait without an attempt", async () => {
    sink.setRules(replyAt("rcpt", "421 4.7.0 Too much from you", { times: 1 }));
    const [told, other] = [await delivery.accept(), await delivery.accept()];
    const elsewhere = await delivery.accept({ to: [{ address: "a@example.net", name: null }] });
    const both = await delivery.accept({
      to: ["b@example.com", "b@example.net"].map((address) => ({ address, name: null })),
    });
    expect(await delivery.run(told)).toMatchObject({ state: "pending", outcome: "deferred" });
    const released = { kind: "released", reason: "destination_backed_off" } as const;
    expect(await delivery.run(other)).toEqual(released);
    expect(delivery.told.at(-1)?.delayMs ?? 0).toBeWithin(20_000, 30_001);
    expect(await delivery.read(other)).toMatchObject({ status: "pending", attempts: [] });
    expect(await delivery.run(elsewhere)).toMatchObject({ state: "sent" });
    expect(await delivery.run(both)).toMatchObject({ state: "sent" });
    // Its mail to example.com was taken: the back-off is over.
    const next = await delivery.accept();
    expect(await delivery.run(next)).toMatchObject({ state: "sent" });
  });

  test("an email whose max_age is nearer than the end of the back-off is tried all the same", async () => {
    sink.setRules(replyAt("mail", "421 4.3.2 Going down", { times: 1 }));
    await delivery.run(await delivery.accept());
    const urgent = await delivery.accept({ maxAgeSeconds: 20 });
    expect(await delivery.run(urgent)).toMatchObject({ state: "sent" });
  });

  test("a connection lost after the dot is uncertain, and tried again with identical bytes", async () => {
    sink.setRules(acceptThenDrop({ times: 1 }));
    const id = await delivery.accept();
    expect(await delivery.run(id)).toMatchObject({ state: "pending", outcome: "uncertain" });
    expect(await delivery.run(id)).toMatchObject({ state: "sent" });
    const [first, second] = sink.acceptances;
    expect(Buffer.from(second?.message ?? [])).toEqual(Buffer.from(first?.message ?? []));
  });

  test("under hold an uncertain email waits for a person and is never sent again", async () => {
    sink.setRules(acceptThenDrop({ times: 1 }));
    const id = await delivery.accept({ onUncertain: "hold" });
    expect(await delivery.run(id)).toMatchObject({ state: "uncertain" });
    expect(await delivery.run(id)).toEqual({ kind: "not_claimed" });
    expect(sink.acceptances.length).toBe(1);
  });

  test("a connection lost before the body is tried again freely", async () => {
    sink.setRules(dropAt("data", { times: 1 }));
    const id = await delivery.accept({ onUncertain: "hold" });
    expect(await delivery.run(id)).toMatchObject({ state: "pending", outcome: "deferred" });
    expect(await delivery.run(id)).toMatchObject({ state: "sent" });
    expect(sink.acceptances.length).toBe(1);
  });

  test("a fence that fails sends no body and spends no attempt", async () => {
    const fence = async () => {
      throw new AppError("database_unavailable", { publicDetail: "gone" });
    };
    const { attempts } = delivery.deps;
    delivery.deps.attempts = { ...attempts, fence };
    const id = await delivery.accept();
    expect(await delivery.run(id)).toEqual({ kind: "released", reason: "fence_failed" });
    expect(sink.acceptances.length).toBe(0);
    expect(await delivery.read(id)).toMatchObject({ status: "pending", attempts: [] });
  });

  test("draining gives an un-fenced email back at once, without an attempt", async () => {
    sink.setRules(hangAt("mail"));
    const id = await delivery.accept();
    const run = delivery.run(id);
    await sink.waitForPhase("mail");
    delivery.drain.abort(new Error("draining"));
    expect(await run).toEqual({ kind: "released", reason: "aborted" });
    expect(await delivery.read(id)).toMatchObject({ status: "pending", attempts: [] });
  });

  test("draining waits for a fenced email, and at the end settles it as uncertain", async () => {
    sink.setRules(hangAt("dot"));
    const id = await delivery.accept({ onUncertain: "hold" });
    const run = delivery.run(id);
    await sink.waitForPhase("dot");
    delivery.drain.abort(new Error("draining"));
    delivery.end.abort(new Error("out of time"));
    expect(await run).toMatchObject({ kind: "settled", state: "uncertain" });
  });

  test("a fence that answers after the end sends no body, as the claim went back without it", async () => {
    const { attempts } = delivery.deps;
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const fence: typeof attempts.fence = async (...call) => {
      const granted = await attempts.fence(...call);
      asked.resolve();
      await answer.promise;
      return granted;
    };
    delivery.deps.attempts = { ...attempts, fence };
    const id = await delivery.accept({ onUncertain: "hold" });
    const run = delivery.run(id);
    await asked.promise;
    delivery.drain.abort(new Error("draining"));
    delivery.end.abort(new Error("out of time"));
    expect(await run).toEqual({ kind: "released", reason: "aborted" });
    answer.resolve();
    await until("the conversation ends", () => sink.openConnectionCount === 0);
    expect(sink.acceptances.length).toBe(0);
    expect(await delivery.read(id)).toMatchObject({ status: "pending", attempts: [] });
  });

  test.each([
    { isFenced: false, state: "pending", outcome: "deferred" },
    { isFenced: true, state: "uncertain", outcome: "uncertain" },
  ])("a transport that fails by a fault of ours spends the attempt: %j", async (expected) => {
    const { isFenced, ...settled } = expected;
    const { sender } = delivery.deps;
    delivery.deps.sender = {
      ...sender,
      async send({ fence }) {
        if (isFenced) await fence(new Date());
        throw new TypeError("undefined is not a function");
      },
    };
    const id = await delivery.accept({ onUncertain: "hold" });
    expect(await delivery.run(id)).toMatchObject({ kind: "settled", ...settled });
    expect((await delivery.read(id)).attempts).toHaveLength(1);
  });

  test("content that cannot be decrypted defers the email and says so", async () => {
    const id = await delivery.accept();
    const { keyRing } = delivery.deps;
    delivery.deps.keyRing = {
      ...keyRing,
      openDataKey() {
        throw new Error("no such key");
      },
    };
    expect(await delivery.run(id)).toMatchObject({ state: "pending", outcome: "deferred" });
    expect(sink.acceptances.length).toBe(0);
  });

  test("each attempt hands the message over once, and asks for one fence", async () => {
    const { attempts } = delivery.deps;
    let fences = 0;
    delivery.deps.attempts = {
      ...attempts,
      fence(...args) {
        fences += 1;
        return attempts.fence(...args);
      },
    };
    sink.setRules(replyAt("dot", "451 4.3.0 Try again", { times: 2 }));
    const id = await delivery.accept();
    for (let tries = 1; tries <= 3; tries++) {
      await delivery.run(id);
      const datas = sink.steps.filter(({ phase }) => phase === "data");
      expect([datas.length, fences]).toEqual([tries, tries]);
    }
    expect(await delivery.read(id)).toMatchObject({ status: "sent" });
    expect(sink.acceptances.length).toBe(1);
  });

  test("an email that was cancelled or held since its claim has no fence and is not sent", async () => {
    const emails = createEmails(database);
    const changes = createChanges(database);
    const as = { as: adminClaims, origin: null };
    const revokes = [
      (id: string) => emails.cancel(id, adminClaims, null),
      (id: string) => changes.hold({ id, ...as }),
    ];
    for (const [index, revoke] of revokes.entries()) {
      const gate = Promise.withResolvers<void>();
      sink.setRules(scripted({ phase: "rcpt", action: { do: "wait", until: gate.promise } }));
      const id = await delivery.accept();
      const run = delivery.run(id);
      await sink.waitForPhase("rcpt", index + 1);
      await revoke(id);
      gate.resolve();
      expect(await run).toEqual({ kind: "dropped" });
      expect(await delivery.read(id)).toMatchObject({
        status: ["cancelled", "held"][index],
        attempts: [],
      });
    }
    expect(sink.acceptances.length).toBe(0);
  });

  test("while sending is paused no email gets a fence, and none spends an attempt", async () => {
    const pauses = createPauses(database);
    const by = { claims: adminClaims, origin: null };
    const targets = [
      { kind: "owner", name: "ada" },
      { kind: "region", name: "local" },
    ] as const;
    for (const [index, target] of targets.entries()) {
      const gate = Promise.withResolvers<void>();
      sink.setRules(scripted({ phase: "rcpt", action: { do: "wait", until: gate.promise } }));
      const id = await delivery.accept();
      const run = delivery.run(id);
      await sink.waitForPhase("rcpt", index + 1);
      await pauses.pause({ ...target, reason: "wrong list" }, by);
      gate.resolve();
      expect(await run).toEqual({ kind: "released", reason: "paused" });
      expect(await delivery.read(id)).toMatchObject({ status: "pending", attempts: [] });
      expect(sink.acceptances.length).toBe(index);
      await pauses.resume(target, by);
      expect(await delivery.run(id)).toMatchObject({ state: "sent" });
    }
  });
});
