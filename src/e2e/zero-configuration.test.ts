import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { simpleParser } from "mailparser";
import { inMs, schedule, scheduleBatch, statusOf } from "../testing/product/email-requests.ts";
import { type Product, runProduct, startProduct } from "../testing/product/product.ts";
import { until } from "../testing/servers/child-server.ts";

setDefaultTimeout(90_000);

let product: Product;
beforeAll(async () => {
  product = await startProduct();
});
afterAll(() => product?.kill());

function capturedFile(id: string, extension = "eml"): string {
  return join(product.dataDir, "captured", `${id}.${extension}`);
}

async function restart(): Promise<void> {
  product = await startProduct({ dataDir: product.dataDir });
}

describe("the binary without any configuration", () => {
  test("captures an email at its time, as a message an independent parser reads", async () => {
    const scheduledAt = inMs(2_000);
    const id = await schedule(product, {
      recipients: ["Bob <bob@example.test>"],
      subject: "Grüße at two",
      body: "It is two.",
      scheduled_at: scheduledAt,
    });
    expect(existsSync(capturedFile(id))).toBe(false);

    await until("the message is captured", () => existsSync(capturedFile(id)));

    const { mtimeMs } = await stat(capturedFile(id));
    expect(mtimeMs).toBeGreaterThanOrEqual(Date.parse(scheduledAt));
    const message = await simpleParser(await readFile(capturedFile(id)));
    expect(message.subject).toBe("Grüße at two");
    expect(message.text?.trim()).toBe("It is two.");
    expect(message.to).toMatchObject({ value: [{ address: "bob@example.test", name: "Bob" }] });
    expect(message.date?.getTime()).toBeGreaterThanOrEqual(Date.parse(scheduledAt) - 1_000);
    const envelope = await readFile(capturedFile(id, "json"), "utf8");
    expect(envelope).toContain("bob@example.test");
    expect((await statusOf(product, id)).sent_at).not.toBeNull();
  });

  test("lists captured mails on the page, and shows none to strangers", async () => {
    const id = await schedule(product, { subject: "On the page" });
    await statusOf(product, id);
    const page = await product.api(
      "GET",
      "/console/emails",
      undefined,
      await product.token("root", "admin"),
    );
    expect(page.status).toBe(200);
    expect(page.text).toContain("On the page");

    const stranger = await fetch(`${product.url}/`);
    expect(stranger.status).toBe(200);
    expect(await stranger.text()).not.toContain("On the page");
  });

  test("says in /health which parts it runs on", async () => {
    const health = await (await fetch(`${product.url}/health`)).json();
    expect(health).toMatchObject({
      status: "ok",
      components: { database: { driver: "pglite" }, queue: { driver: "postgres" } },
    });
  });

  test("refuses a second process on the same folder, and names the folder", async () => {
    const second = await runProduct(["serve"], { dataDir: product.dataDir });
    expect(second.code).not.toBe(0);
    expect(second.output).toContain(product.dataDir);
    expect((await fetch(`${product.url}/health/ready`)).status).toBe(200);
  });

  test("keeps pending emails over a restart", async () => {
    const id = await schedule(product, { subject: "After the restart", scheduled_at: inMs(4_000) });
    const { code } = await product.stop();
    expect(code).toBe(0);
    expect(existsSync(capturedFile(id))).toBe(false);
    await restart();
    await statusOf(product, id);
    expect(existsSync(capturedFile(id))).toBe(true);
  });

  test("loses nothing when it is killed right after a 201", async () => {
    const subjects = Array.from({ length: 20 }, (_, index) => `Before the kill ${index}`);
    const ids = await scheduleBatch(product, subjects, { scheduled_at: inMs(1_000) });
    await product.kill();
    await restart();
    for (const id of ids) await statusOf(product, id);
    const captured = await readdir(join(product.dataDir, "captured"));
    for (const id of ids) expect(captured).toContain(`${id}.eml`);
  });
});
