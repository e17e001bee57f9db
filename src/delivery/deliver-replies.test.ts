import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Database } from "../store/database.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { createDelivery, type Delivery } from "../testing/product/delivery.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";
import { replyAt, type SinkAction, type SinkContext } from "../testing/servers/smtp-sink-rules.ts";

/** Over a real database and a real SMTP conversation, as in `deliver.test.ts`. */
describe("replies that are not one email's alone", () => {
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

  describe("a reply that may be everybody's", () => {
    const released = { kind: "released", reason: "transport_refused" } as const;
    const full = replyAt("mail", "452 4.3.1 <bob@example.com>: out of storage");
    const from = (address: string) => ({ from: { address, name: null } });

    test("is an email's alone, and the transport's once a second one got it", async () => {
      sink.setRules(full);
      const [first, second] = [await delivery.accept(), await delivery.accept()];
      expect(await delivery.run(first)).toMatchObject({ state: "pending", outcome: "deferred" });
      expect(await delivery.run(second)).toEqual(released);
      expect(delivery.deps.breaker.snapshot()).toMatchObject({
        state: "open",
        reason: "rejecting",
        said: "452 4.3.1 at MAIL: [address]: out of storage",
      });
      // More often than max_retries would allow; a probe that succeeds ends it.
      for (let tries = 0; tries < 6; tries++) expect(await delivery.run(first)).toEqual(released);
      sink.setRules();
      expect(await delivery.run(second)).toMatchObject({ state: "sent" });
      expect((await delivery.read(second)).attempts).toHaveLength(1);
      expect((await delivery.read(first)).attempts).toHaveLength(1);
    });

    test("spends no attempt of two that are under way at once", async () => {
      const both = Promise.withResolvers<void>();
      let arrived = 0;
      // Neither is answered before both have said MAIL.
      const afterBoth = (step: SinkContext): SinkAction | null => {
        const next = full(step);
        if (next === null) return null;
        arrived += 1;
        if (arrived === 2) both.resolve();
        return { do: "wait", until: both.promise, next };
      };
      sink.setRules(afterBoth);
      const ids = [await delivery.accept(), await delivery.accept()];
      expect(await Promise.all(ids.map((id) => delivery.run(id)))).toEqual([released, released]);
      for (const id of ids) expect((await delivery.read(id)).attempts).toEqual([]);
    });

    test("spends attempts of one that is refused alone while others are sent", async () => {
      sink.setRules(replyAt("mail", "450 4.1.8 No such domain", { argument: "odd@example.net" }));
      const odd = await delivery.accept({ ...from("odd@example.net"), maxRetries: 1 });
      expect(await delivery.run(odd)).toMatchObject({ state: "pending", outcome: "deferred" });
      expect(await delivery.run(await delivery.accept())).toMatchObject({ state: "sent" });
      expect(await delivery.run(odd)).toMatchObject({ state: "failed" });
      expect(delivery.deps.breaker.snapshot()).toMatchObject({ state: "closed", opened: 0 });
    });
  });

  describe("a next hop that takes ten recipients at once", () => {
    const to = Array.from({ length: 50 }, (_, index) => ({
      address: `r${index}@example.com`,
      name: null,
    }));
    const limited = ({ phase, envelope }: SinkContext): SinkAction | null =>
      phase === "rcpt" && envelope.recipients.length >= 10
        ? { do: "reply", text: "452 4.5.3 Too many recipients" }
        : null;

    test("gets all fifty, at once, with no retry to spend", async () => {
      sink.setRules(limited);
      const id = await delivery.accept({ to, maxRetries: 0 });
      for (let transaction = 1; transaction < 5; transaction++) {
        expect(await delivery.run(id)).toMatchObject({ state: "pending", outcome: "partial" });
        expect(delivery.told.at(-1)).toEqual({ delayMs: 0 });
      }
      expect(await delivery.run(id)).toMatchObject({ state: "sent", outcome: "sent" });
      const got = sink.acceptances.flatMap(({ envelope }) => envelope.recipients);
      expect(new Set(got).size).toBe(50);
      expect((await delivery.read(id)).attempts.map(({ number }) => number)).toEqual([
        1, 2, 3, 4, 5,
      ]);
      // The limit was met once, and is heeded from then on.
      expect(sink.steps.filter(({ phase }) => phase === "rcpt")).toHaveLength(50 + 40);
    });

    test("and says so by RCPTMAX gets all fifty in five, none refused", async () => {
      await sink.close();
      sink = await createSmtpSink({ extensions: ["PIPELINING", "LIMITS RCPTMAX=10"] });
      await delivery.close();
      delivery = createDelivery(database, { sink });
      const id = await delivery.accept({ to, maxRetries: 0 });
      for (let transaction = 1; transaction < 5; transaction++) {
        expect(await delivery.run(id)).toMatchObject({ state: "pending", outcome: "partial" });
        expect(delivery.told.at(-1)?.delayMs).toBe(0);
      }
      expect(await delivery.run(id)).toMatchObject({ state: "sent", outcome: "sent" });
      expect(sink.steps.filter(({ phase }) => phase === "rcpt")).toHaveLength(50);
    });

    test("costs the retries of those who are deferred for a reason of their own", async () => {
      sink.setRules(limited);
      const first = await delivery.accept({ to: to.slice(0, 12) });
      await delivery.run(first);
      sink.setRules(replyAt("dot", "451 4.2.0 Try again"));
      expect(await delivery.run(first)).toMatchObject({ state: "pending", outcome: "deferred" });
      expect(delivery.told.at(-1)?.delayMs).toBe(2);
    });
  });

  test("greylisting gets two tries more than the default, and no more than were asked for", async () => {
    sink.setRules(replyAt("rcpt", "451 4.7.1 Greylisted"));
    const outcomes: string[] = [];
    for (const maxRetries of [null, 3]) {
      const id = await delivery.accept({ maxRetries });
      for (let tries = 1; tries <= 6; tries++) {
        const delivered = await delivery.run(id);
        if (delivered.kind !== "settled") break;
        outcomes.push(delivered.state);
      }
    }
    const pending = (count: number) => Array.from({ length: count }, () => "pending");
    expect(outcomes).toEqual([...pending(5), "failed", ...pending(3), "failed"]);
  });

  test("MAIL refused for good holds that sender's emails back, and no others", async () => {
    sink.setRules(replyAt("mail", "553 5.1.8 Unknown sender", { argument: "odd@example.net" }));
    const odd = { from: { address: "odd@example.net", name: null } };
    const refused = { kind: "released", reason: "sender_refused" } as const;
    const [first, second] = [await delivery.accept(odd), await delivery.accept(odd)];
    expect(await delivery.run(first)).toEqual(refused);
    expect(delivery.told.at(-1)?.delayMs).toBeGreaterThan(29_000);
    const steps = sink.steps.length;
    expect(await delivery.run(second)).toEqual(refused);
    expect(sink.steps).toHaveLength(steps);
    expect(await delivery.run(await delivery.accept())).toMatchObject({ state: "sent" });
    expect(await delivery.read(first)).toMatchObject({ status: "pending", attempts: [] });
  });

  test("a sender who is refused past max_age ends the email, with the reply on record", async () => {
    sink.setRules(replyAt("mail", "553 5.1.8 Unknown sender"));
    const id = await delivery.accept({ maxAgeSeconds: 29 });
    expect(await delivery.run(id)).toMatchObject({ state: "failed", outcome: "deferred" });
    expect((await delivery.read(id)).attempts).toMatchObject([{ smtpCode: 553 }]);
  });

  test("a server that offers a login, and refuses everybody without one, fails no email", async () => {
    await sink.close();
    sink = await createSmtpSink({ auth: { user: "u", pass: "p" } });
    await delivery.close();
    delivery = createDelivery(database, { sink });
    sink.setRules(replyAt("rcpt", "554 5.7.1 Recipient address rejected: Access denied"));
    const id = await delivery.accept();
    const released = { kind: "released", reason: "transport_refused" } as const;
    expect(await delivery.run(id)).toEqual(released);
    expect(delivery.deps.breaker.snapshot()).toMatchObject({ reason: "login_wanted" });
    sink.setRules();
    expect(await delivery.run(id)).toMatchObject({ state: "sent" });
    // Once a mail has gone through, it is the recipient who is refused.
    sink.setRules(replyAt("rcpt", "554 5.7.1 Recipient address rejected: Access denied"));
    expect(await delivery.run(await delivery.accept())).toMatchObject({ state: "failed" });
  });
});
