import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { simpleParser } from "mailparser";
import { createElement } from "react";
import { Heading, Html, Link } from "react-email";
import { Resend } from "resend";
import { statusOf } from "../testing/product/email-requests.ts";
import { type Product, startProduct } from "../testing/product/product.ts";

setDefaultTimeout(90_000);

let product: Product;
let resend: Resend;
beforeAll(async () => {
  product = await startProduct({ env: { SMTP_FROM_ALLOWED: "example.org" } });
  const body = { name: "the SDK", scopes: ["send", "read"] };
  const made = await product.api<{ key: string }>("POST", "/api/v1/api-keys", body);
  // What RESEND_BASE_URL would set: the environment of this process is not ours to change.
  resend = new Resend(made.body.data.key, { baseUrl: product.url });
});
afterAll(() => product?.kill());

const from = "Shop <shop@example.org>";

async function captured(id: string) {
  expect(await statusOf(product, id)).toMatchObject({ status: "sent" });
  return simpleParser(await readFile(join(product.dataDir, "captured", `${id}.eml`)));
}

function sound<T>({ data, error }: { data: T | null; error: unknown }): T {
  expect(error).toBeNull();
  if (data === null) throw new Error("neither data nor error");
  return data;
}

describe("the official SDK", () => {
  test("a React component goes out as HTML and text, to everybody, with its file", async () => {
    const react = createElement(
      Html,
      { lang: "en" },
      createElement(Heading, null, "Welcome, Ada"),
      createElement(Link, { href: "https://shop.example/start" }, "Start"),
    );
    const { id } = sound(
      await resend.emails.send({
        from,
        to: ["ada@example.com"],
        cc: "bob@example.com",
        bcc: "carl@example.com",
        replyTo: ["help@example.org", "archive@example.org"],
        subject: "Welcome",
        react,
        headers: { "X-Entity-Ref-ID": "1" },
        tags: [{ name: "campaign", value: "welcome" }],
        attachments: [{ filename: "terms.pdf", content: Buffer.from("the terms") }],
      }),
    );
    const message = await captured(id);
    expect(message.subject).toBe("Welcome");
    expect(message.from?.text).toBe('"Shop" <shop@example.org>');
    expect(message.replyTo?.text).toBe("help@example.org, archive@example.org");
    expect(message.html).toContain("Welcome, Ada");
    expect(message.text).toContain("Start [https://shop.example/start]");
    expect(message.headers.get("x-entity-ref-id")).toBe("1");
    expect(
      message.attachments.map(({ filename, contentType, content }) => ({
        filename,
        contentType,
        content: content.toString(),
      })),
    ).toEqual([{ filename: "terms.pdf", contentType: "application/pdf", content: "the terms" }]);
    expect(sound(await resend.emails.get(id))).toMatchObject({
      object: "email",
      from,
      to: ["ada@example.com"],
      cc: ["bob@example.com"],
      bcc: ["carl@example.com"],
      last_event: "sent",
      scheduled_at: null,
      tags: [{ name: "campaign", value: "welcome" }],
    });
    const list = sound(await resend.emails.list({ limit: 1 }));
    expect(list).toMatchObject({ object: "list", has_more: false, data: [{ id }] });
  });

  test("scheduled in words, moved, and cancelled; the native routes see the same email", async () => {
    const mail = { from, to: "ada@example.com", subject: "Later", text: "Soon." };
    const sent = sound(await resend.emails.send({ ...mail, scheduledAt: "tomorrow at 9am" }));
    const { scheduled_at } = sent as { id: string; scheduled_at?: string };
    expect(scheduled_at).toMatch(/T09:00:00\.000Z$/);
    const path = `/api/v1/status/${sent.id}`;
    const status = async () => (await product.api<Record<string, unknown>>("GET", path)).body.data;
    expect(await status()).toMatchObject({ status: "pending", scheduled_at });
    const scheduledAt = "2035-01-01T00:00:00.000Z";
    sound(await resend.emails.update({ id: sent.id, scheduledAt }));
    expect(await status()).toMatchObject({ scheduled_at: scheduledAt });
    expect(sound(await resend.emails.cancel(sent.id))).toMatchObject({ id: sent.id });
    expect(await status()).toMatchObject({ status: "cancelled" });
  });

  test("a batch, once for its key", async () => {
    const batch = ["ada", "bob"].map((name) => ({
      from,
      to: `${name}@example.com`,
      subject: name,
      html: "<p>Hi</p>",
    }));
    const options = { idempotencyKey: "batch-1" };
    const first = sound(await resend.batch.send(batch, options));
    const again = sound(await resend.batch.send(batch, options));
    expect(again).toEqual(first);
    expect(first.data).toHaveLength(2);
    expect((await captured(first.data[1]?.id ?? "")).subject).toBe("bob");
    const broken = [...batch, { ...batch[0], to: "nobody" }] as typeof batch;
    const permissive = sound(await resend.batch.send(broken, { batchValidation: "permissive" }));
    expect(permissive.data).toHaveLength(2);
    expect(permissive.errors).toMatchObject([{ index: 2 }]);
  });

  test("errors come as the SDK names them, and nothing is thrown", async () => {
    const mail = { from, to: "ada@example.com", subject: "No", text: "No." };
    const errorOf = async (payload: object) =>
      (await resend.emails.send({ ...mail, ...payload } as never)).error;
    expect(await errorOf({ to: "" })).toMatchObject({
      statusCode: 422,
      name: "missing_required_field",
    });
    expect(await errorOf({ from: "a@example.net" })).toMatchObject({ statusCode: 403 });
    const path = [{ filename: "a.txt", path: "https://example.com/a.txt" }];
    expect(await errorOf({ attachments: path })).toMatchObject({ name: "invalid_attachment" });
    expect(await errorOf({ scheduledAt: "someday" })).toMatchObject({
      statusCode: 422,
      message: expect.stringContaining('"in 5 minutes"'),
    });
    const stranger = new Resend("re_123", { baseUrl: product.url });
    expect((await stranger.emails.send(mail)).error).toMatchObject({ statusCode: 401 });
    expect((await resend.emails.get(crypto.randomUUID())).error).toMatchObject({
      statusCode: 404,
      name: "not_found",
    });
    expect(sound(await resend.domains.list()).data).toMatchObject([{ name: "example.org" }]);
  });
});
