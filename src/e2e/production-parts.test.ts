import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { simpleParser } from "mailparser";
import { inMs, schedule, statusOf, subjectOf } from "../testing/product/email-requests.ts";
import type { Product } from "../testing/product/product.ts";
import type { EmailAnswer } from "../testing/product/product-answers.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { replyAt } from "../testing/servers/smtp-sink-rules.ts";

setDefaultTimeout(60_000);

for (const wire of ["clear", "starttls", "tls"] as const) {
  describe(`the binary on an empty PostgreSQL, Redis and SMTP, wire: ${wire}`, () => {
    let stack: ProductionStack;
    let product: Product;
    beforeAll(async () => {
      stack = await startStack({ wire, isMigrated: false });
      product = await stack.start();
    });
    afterAll(() => stack?.close());

    test("sends at its time what was asked for, attachments equal to the byte", async () => {
      const files = [randomBytes(100_000), Buffer.from("ünï\r\n.\r\n..dots\n"), Buffer.alloc(0)];
      const scheduledAt = inMs(1_500);
      const id = await schedule(product, {
        recipients: ["Bob <bob@example.test>", "eve@example.test"],
        bcc: ["hidden@example.test"],
        subject: "Three files",
        body: "Plain ünï.\n.\nAfter a lonely dot.",
        html_body: "<p>Plain ünï.</p>",
        scheduled_at: scheduledAt,
        attachments: files.map((content, index) => ({
          filename: `file ${index} ü.bin`,
          content: content.toString("base64"),
          contentType: "application/octet-stream",
        })),
      });

      const [accepted] = await stack.sink.waitForAcceptances(1);
      expect(accepted?.at.getTime()).toBeGreaterThanOrEqual(Date.parse(scheduledAt));
      expect(accepted?.isTls).toBe(wire !== "clear");
      expect(accepted?.envelope.recipients.toSorted()).toEqual([
        "bob@example.test",
        "eve@example.test",
        "hidden@example.test",
      ]);
      const message = await simpleParser(Buffer.from(accepted?.message ?? []));
      expect(message.subject).toBe("Three files");
      expect(message.text?.trim()).toBe("Plain ünï.\n.\nAfter a lonely dot.");
      expect(message.html).toContain("<p>Plain ünï.</p>");
      expect(message.bcc).toBeUndefined();
      expect(message.attachments.map(({ filename }) => filename)).toEqual([
        "file 0 ü.bin",
        "file 1 ü.bin",
        "file 2 ü.bin",
      ]);
      for (const [index, content] of files.entries()) {
        expect(message.attachments[index]?.content.equals(content)).toBe(true);
      }
      const status = await statusOf(product, id);
      expect(status.attempts).toHaveLength(1);
      expect(status.recipients.map((recipient) => recipient.status)).toEqual([
        "sent",
        "sent",
        "sent",
      ]);
    });

    test("says in /health which parts it runs on", async () => {
      const health = await (await fetch(`${product.url}/health`)).json();
      expect(health).toMatchObject({
        status: "ok",
        components: { database: { driver: "postgres" }, queue: { driver: "redis" } },
      });
    });
  });
}

describe("replies of the next hop", () => {
  let stack: ProductionStack;
  let product: Product;
  beforeAll(async () => {
    stack = await startStack();
    product = await stack.start();
  });
  afterAll(() => stack?.close());

  function acceptedWith(subject: string) {
    return stack.sink.acceptances.filter((acceptance) => subjectOf(acceptance) === subject);
  }

  test("a 451 is tried again until the 250, and both attempts are on record", async () => {
    stack.sink.setRules(replyAt("dot", "451 4.3.0 Try again later", { times: 1 }));
    const id = await schedule(product, { subject: "Second try" });
    const status = await statusOf(product, id);
    expect(status.attempts).toMatchObject([
      { number: 1, outcome: "deferred", smtp_code: 451, enhanced_code: "4.3.0" },
      { number: 2, outcome: "sent", smtp_code: 250 },
    ]);
    expect(acceptedWith("Second try")).toHaveLength(1);
  });

  test("a 550 makes a dead letter after one attempt, and a replay sends it under its Message-ID", async () => {
    stack.sink.setRules(replyAt("rcpt", "550 5.1.1 No such user", { times: 1 }));
    const id = await schedule(product, { subject: "Dead letter", max_retries: 3 });
    const failed = await statusOf(product, id, ["failed"]);
    expect(failed.attempts).toMatchObject([{ number: 1, outcome: "bounced", smtp_code: 550 }]);
    expect(acceptedWith("Dead letter")).toHaveLength(0);
    const letters = await product.api<EmailAnswer[]>("GET", "/api/v1/dead-letters");
    expect(letters.body.data.map((letter) => letter.id)).toContain(id);
    const before = await product.api("GET", `/api/v1/emails/${id}/raw`);

    const replay = await product.api("POST", `/api/v1/dead-letters/${id}/replay`, {});
    expect(replay.status).toBe(200);
    await statusOf(product, id);
    const [accepted] = acceptedWith("Dead letter");
    expect(accepted?.messageId).toMatch(/^<.+>$/);
    expect(before.text).toContain(accepted?.messageId ?? "none");
  });

  test("a cancelled email is never sent, and a second cancel says 200 again", async () => {
    const id = await schedule(product, { subject: "Cancelled", scheduled_at: inMs(1_500) });
    const cancel = () => product.api<{ status: string }>("DELETE", `/api/v1/cancel/${id}`);
    expect(await cancel()).toMatchObject({ status: 200, body: { data: { status: "cancelled" } } });
    expect(await cancel()).toMatchObject({ status: 200, body: { data: { status: "cancelled" } } });
    // The one due after it has gone out: had the first been alive, it would have, too.
    const later = await schedule(product, { subject: "Later", scheduled_at: inMs(2_000) });
    await statusOf(product, later);
    expect(acceptedWith("Cancelled")).toHaveLength(0);
    expect((await statusOf(product, id, ["cancelled"])).attempts).toHaveLength(0);
  });

  test("cancelling what was sent says 409 already_sent", async () => {
    const id = await schedule(product, { subject: "Too late" });
    await statusOf(product, id);
    const answer = await product.api("DELETE", `/api/v1/cancel/${id}`);
    expect(answer).toMatchObject({ status: 409, body: { code: "already_sent" } });
  });
});
