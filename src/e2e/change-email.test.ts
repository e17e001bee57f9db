import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { simpleParser } from "mailparser";
import { inMs, schedule, statusOf } from "../testing/product/email-requests.ts";
import { type Product, startProduct } from "../testing/product/product.ts";
import { until } from "../testing/servers/child-server.ts";

setDefaultTimeout(90_000);

let product: Product;
beforeAll(async () => {
  product = await startProduct();
});
afterAll(() => product?.kill());

const capturedFile = (id: string) => join(product.dataDir, "captured", `${id}.eml`);

async function messageOf(id: string) {
  await statusOf(product, id);
  return simpleParser(await readFile(capturedFile(id)));
}

describe("the binary without any configuration", () => {
  test("an edited email goes out as it was edited, with its attachments to the byte", async () => {
    const files = ["plan.pdf", "Übersicht.bin"].map((filename, n) => ({
      filename,
      content: Buffer.from(crypto.getRandomValues(new Uint8Array(60_000 + n))).toString("base64"),
    }));
    const id = await schedule(product, {
      subject: "In an hour",
      scheduled_at: inMs(3_600_000),
      attachments: files,
    });
    const before = await simpleParser((await product.api("GET", `/api/v1/emails/${id}/raw`)).text);
    const edit = { subject: "Now after all" };
    expect((await product.api("PATCH", `/api/v1/emails/${id}`, edit)).status).toBe(200);
    expect((await product.api("POST", `/api/v1/emails/${id}/send-now`)).status).toBe(200);

    const message = await messageOf(id);
    expect(message.subject).toBe("Now after all");
    expect(message.messageId).toBe(before.messageId);
    expect(message.text).toBe(before.text);
    expect(
      message.attachments.map(({ filename, content }) => [filename, content.toString("base64")]),
    ).toEqual(files.map(({ filename, content }) => [filename, content]));
    const late = await product.api("PATCH", `/api/v1/emails/${id}`, edit);
    expect(late).toMatchObject({ status: 409, body: { code: "already_sent" } });
  });

  test("on_late: hold keeps an email that the outage made late for a person to release", async () => {
    const scheduledAt = inMs(3_000);
    const fields = { scheduled_at: scheduledAt, max_lateness: 1 };
    const held = await schedule(product, { ...fields, on_late: "hold" });
    const dropped = await schedule(product, { ...fields, on_late: "drop" });
    const sent = await schedule(product, { scheduled_at: scheduledAt });
    await product.stop();
    await until("it is too late", () => Date.now() > Date.parse(scheduledAt) + 1_500);
    product = await startProduct({ dataDir: product.dataDir });

    await statusOf(product, sent, ["sent"]);
    await statusOf(product, dropped, ["expired"]);
    await statusOf(product, held, ["held"]);
    for (const id of [held, dropped]) expect(existsSync(capturedFile(id))).toBe(false);
    const released = await product.api("POST", `/api/v1/emails/${held}/release`);
    expect(released.status).toBe(200);
    await statusOf(product, held, ["sent"]);
    expect(existsSync(capturedFile(held))).toBe(true);
  });
});
