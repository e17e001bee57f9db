import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, Page, Request } from "playwright-core";
import { type BrowserVisit, launchBrowser, visit } from "../testing/product/browser.ts";
import { faultsOfLooks, signInOn } from "../testing/product/console-browser.ts";
import { inMs, schedule, statusOf } from "../testing/product/email-requests.ts";
import { type Product, startProduct } from "../testing/product/product.ts";
import { until } from "../testing/servers/child-server.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";
import { replyAt } from "../testing/servers/smtp-sink-rules.ts";

setDefaultTimeout(90_000);

const gone = "gone@example.test";

let browser: Browser;
let sink: SmtpSink;
let product: Product;
let admin: BrowserVisit;
let page: Page;
const outside: string[] = [];

beforeAll(async () => {
  browser = await launchBrowser();
  sink = await createSmtpSink({
    rules: [replyAt("rcpt", "550 5.1.1 No such user", { argument: gone })],
  });
  const env = { SMTP_HOST: sink.host, SMTP_PORT: String(sink.port), SMTP_FROM: "me@example.test" };
  product = await startProduct({ env });
  admin = await visit(browser);
  page = admin.page;
  page.on("request", (request) => {
    const { origin } = new URL(request.url());
    if (origin !== product.url && !request.url().startsWith("data:")) outside.push(request.url());
  });
  await signInOn(page, product, await product.token("ops", "admin"));
});
afterAll(async () => {
  await admin?.close();
  await browser?.close();
  await product?.kill();
  await sink?.close();
});

const open = (path: string) => page.goto(`${product.url}${path}`);
const later = (tag: string, subject = tag) =>
  schedule(product, { subject, tags: [tag], scheduled_at: inMs(86_400_000) });

async function expectSound(): Promise<void> {
  expect(await faultsOfLooks(page)).toEqual([]);
  expect(admin.faults).toEqual([]);
  expect(outside).toEqual([]);
}

describe("many at once", () => {
  test("a selection is held after the question how many, and the undo releases it", async () => {
    const ids = [await later("press"), await later("press")];
    await open("/console/emails?q=tag:press");
    await page.getByLabel("Select all on this page").check();
    await page.getByText("2 selected:").waitFor();
    await expectSound();
    await page.getByRole("button", { name: "Hold…" }).click();
    await page.getByRole("heading", { name: "Hold 2 emails?" }).waitFor();
    await expectSound();
    await page.getByRole("button", { name: "Hold 2 emails" }).click();
    await page.getByText("2 emails held.").waitFor();
    for (const id of ids) await statusOf(product, id, ["held"]);
    await expectSound();
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("Undone: 2 emails released again.").waitFor();
    for (const id of ids) await statusOf(product, id, ["pending"]);
  });

  test("all that match are moved by a day, from the menu, and back", async () => {
    const id = await later("moved");
    const due = async () => (await statusOf(product, id, ["pending"])).scheduled_at;
    const before = await due();
    await open("/console/emails?q=tag:moved");
    await page.getByText("All that match…").click();
    await expectSound();
    await page.getByRole("button", { name: "Reschedule all…" }).click();
    await page.getByLabel("How much").fill("1");
    await page.getByLabel("Unit").selectOption("days");
    await expectSound();
    await page.getByRole("button", { name: "Reschedule 1 email" }).click();
    await page.getByText("1 email rescheduled.").waitFor();
    expect(Date.parse(String(await due())) - Date.parse(String(before))).toBe(86_400_000);
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("Undone: 1 email due as before.").waitFor();
    expect(await due()).toBe(before);
  });

  test("a time that is past is said beside what was typed", async () => {
    await open("/console/emails?q=tag:moved");
    await page.getByText("All that match…").click();
    await page.getByRole("button", { name: "Reschedule all…" }).click();
    await page.getByLabel("All to one moment").check();
    await page.getByLabel("Date and time").fill("2020-01-01T09:00");
    await page.getByRole("button", { name: "Reschedule 1 email" }).click();
    await page.getByText("Expected a time to come").waitFor();
    expect(await page.getByLabel("Date and time").inputValue()).toBe("2020-01-01T09:00");
    admin.faults.length = 0;
  });
});

describe("a dead letter", () => {
  test("is put right and sent again in one step", async () => {
    const fields = { recipients: [gone], subject: "Wrong address", max_retries: 0 };
    const id = await schedule(product, fields);
    await statusOf(product, id, ["failed"]);
    await open(`/console/emails/${id}`);
    await page.getByRole("link", { name: "Edit and replay" }).click();
    await page.getByLabel("To", { exact: true }).first().fill("here@example.test");
    await expectSound();
    await page.getByRole("button", { name: "Replay" }).click();
    await page.getByText("It is sent again, as edited,").waitFor();
    await statusOf(product, id, ["sent"]);
    // The page follows it by itself.
    await page.getByText("Attempt 2: sent").waitFor();
    expect(sink.acceptances.at(-1)?.envelope.recipients).toEqual(["here@example.test"]);
  });

  test("is dismissed on its own page, with a reason", async () => {
    const fields = { recipients: [gone], subject: "Let it be", max_retries: 0 };
    const id = await schedule(product, fields);
    await statusOf(product, id, ["failed"]);
    await open(`/console/emails/${id}`);
    await page.getByText("Dismiss…").click();
    await page.getByLabel("Why (goes into the journal)").fill("they moved away");
    await page.getByRole("button", { name: "Dismiss", exact: true }).click();
    await page.getByText("Dismissed: it needs no decision any more.").waitFor();
    await page.getByText("they moved away").first().waitFor();
    expect(await page.getByText("Dismiss…").count()).toBe(0);
    await expectSound();
  });
});

test("files go along with an email that is composed, and the preview leaves them out", async () => {
  await open("/console/compose");
  await page.getByLabel("To", { exact: true }).first().fill("ann@example.test");
  const file = { name: "terms.txt", mimeType: "text/plain", buffer: Buffer.from("The terms.") };
  await page.getByLabel("Files").setInputFiles(file);
  const asked = page.waitForRequest((request) => request.url().endsWith("/preview"));
  await page.getByLabel("Subject").fill("With terms");
  await page.getByLabel("Text", { exact: true }).fill("See the file.");
  expect((await asked).postDataBuffer()?.includes("The terms.")).toBe(false);
  await page.getByLabel("Date and time").fill("2031-07-01T09:00");
  await expectSound();
  await page.getByRole("button", { name: "Schedule" }).click();
  await page.getByText("Scheduled: it goes out").waitFor();
  const downloaded = page.waitForEvent("download");
  await page.getByRole("link", { name: /terms\.txt/ }).click();
  expect((await downloaded).suggestedFilename()).toBe("terms.txt");
});

test("a webhook is edited", async () => {
  await open("/console/webhooks");
  await page.getByLabel("URL").fill("https://example.com/hooks/one");
  await page.getByRole("button", { name: "Create webhook" }).click();
  await page.getByText("Its signing secret").waitFor();
  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByLabel("URL").fill("https://example.com/hooks/two");
  await page.getByLabel("Description").fill("for the shop");
  await page.getByLabel("email.*").uncheck();
  await page.getByLabel("email.sent").check();
  await expectSound();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "https://example.com/hooks/two" }).waitFor();
  await page.getByText("for the shop").waitFor();
  expect(await page.getByText("email.*", { exact: true }).count()).toBe(0);
});

describe("who sees what", () => {
  test("an owner sees their own emails, keys, webhooks and audit; an admin everybody's", async () => {
    const token = await product.token("eve");
    const subject = "Only Eve's";
    const body = {
      recipients: ["x@example.test"],
      subject,
      body: "x",
      scheduled_at: inMs(86_400_000),
    };
    await product.api("POST", "/api/v1/schedule-mail", body, token);
    await product.api("POST", "/api/v1/api-keys", { name: "eves-key", scopes: ["read"] }, token);
    await product.api("POST", "/api/v1/webhooks", { url: "https://example.com/eve" }, token);
    const eve = await visit(browser);
    await signInOn(eve.page, product, token);
    const seenBy = async (one: Page, path: string) => {
      await one.goto(`${product.url}${path}`);
      return (await one.locator("main").textContent()) ?? "";
    };
    for (const [path, own] of [
      ["/console/emails", subject],
      ["/console/keys", "eves-key"],
      ["/console/webhooks", "https://example.com/eve"],
      ["/console/audit", "key.created"],
    ] as const) {
      const [hers, all] = [await seenBy(eve.page, path), await seenBy(page, path)];
      expect([path, hers.includes(own), all.includes(own)]).toEqual([path, true, true]);
      expect([path, /moved|hooks\/two|\bada\b/.test(hers)]).toEqual([path, false]);
      expect([path, all.includes("eve")]).toEqual([path, true]);
    }
    const rail = await eve.page.locator("nav[aria-label=Pages]").textContent();
    expect(/Queues|Settings/.test(rail ?? "")).toBe(false);
    const health = await seenBy(eve.page, "/console/health");
    expect(/Processes|Transports|Throughput/.test(health)).toBe(false);
    expect(eve.faults).toEqual([]);
    await eve.close();
  });
});

describe("what is shown stays fresh", () => {
  const stream = /\/live(\?|$)/;

  test("by the stream, so that an idle page asks for nothing", async () => {
    const opened = page.waitForResponse((response) => response.url().endsWith("/live"));
    await open("/console/emails");
    expect((await opened).headers()["content-type"]).toContain("text/event-stream");
    // The stream's opening is followed by one look, which may be over by now.
    await page.waitForLoadState("networkidle", { timeout: 3_000 }).catch(() => {});
    const isLook = (request: Request) =>
      request.resourceType() === "fetch" && request.url().endsWith("/console/emails");
    // Without the stream it would ask every three seconds.
    const asks = page.waitForRequest(isLook, { timeout: 8_000 }).then(() => true);
    expect(await asks.catch(() => false)).toBe(false);
    await later("live", "Told by the stream");
    await page.getByText("Told by the stream").waitFor();
  });

  test("by asking, where the stream is refused; and by the stream again once it is not", async () => {
    await page.route(stream, (route) => route.abort());
    await open("/console/emails");
    await later("polled", "Found by asking");
    await page.getByText("Found by asking").waitFor();
    const opened = page.waitForResponse((response) => response.url().endsWith("/live"));
    await page.unroute(stream);
    await opened;
    await later("again", "Told again");
    await page.getByText("Told again").waitFor();
    admin.faults.length = 0;
  });

  test("one email follows its own life", async () => {
    const id = await later("own", "Its own life");
    const opened = page.waitForResponse(`${product.url}/live?email=${id}`);
    await open(`/console/emails/${id}`);
    await opened;
    // Selected words stay for whoever is about to copy them.
    const status = page.locator(".status-line");
    await status.selectText();
    const selected = () => page.evaluate("getSelection().toString()");
    const before = await selected();
    const asked = page.waitForResponse(
      (response) => response.url() === page.url() && response.request().resourceType() === "fetch",
    );
    await product.api("POST", `/api/v1/emails/${id}/hold`, {});
    await (await asked).finished();
    await page.evaluate("new Promise((resolve) => setTimeout(resolve, 50))");
    expect([before, await selected()]).toEqual([expect.stringMatching(/\w/), before]);
    await page.evaluate("getSelection().removeAllRanges()");
    await product.api("DELETE", `/api/v1/cancel/${id}`);
    await page.locator(".status-line", { hasText: "Cancelled" }).waitFor();
  });

  test("a session that ends elsewhere ends the stream, and the page asks to sign in", async () => {
    const eve = await visit(browser);
    await signInOn(eve.page, product, await product.token("eve"));
    const opened = eve.page.waitForResponse(`${product.url}/live`);
    await eve.page.goto(`${product.url}/console/emails`);
    await opened;
    const second = await eve.page.context().newPage();
    await second.goto(`${product.url}/console/keys`);
    await second.locator(".account summary").click();
    await second.getByRole("button", { name: "Sign out", exact: true }).click();
    await until("it asks", async () => (await eve.page.locator("[name=token]").count()) === 1);
    expect(new URL(eve.page.url()).pathname).toBe("/console/emails");
    await eve.close();
  });
});
