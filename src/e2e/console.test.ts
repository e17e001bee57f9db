import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser } from "playwright-core";
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
const outside: string[] = [];
/** One email in each state that a console is asked about. */
const ids: Record<string, string> = {};

beforeAll(async () => {
  browser = await launchBrowser();
  sink = await createSmtpSink({
    rules: [
      replyAt("rcpt", "550 5.1.1 No such user", { argument: gone }),
      replyAt("rcpt", "552 5.2.2 The mailbox is full", { argument: "full@example.test" }),
    ],
  });
  const env = { SMTP_HOST: sink.host, SMTP_PORT: String(sink.port), SMTP_FROM: "me@example.test" };
  product = await startProduct({ env });
  admin = await visit(browser);
  admin.page.on("request", (request) => {
    const { origin } = new URL(request.url());
    if (origin !== product.url && !request.url().startsWith("data:")) outside.push(request.url());
  });
  await signInOn(admin.page, product, await product.token("ops", "admin"));
});
afterAll(async () => {
  await admin?.close();
  await browser?.close();
  await product?.kill();
  await sink?.close();
});

const open = (path: string) => admin.page.goto(`${product.url}${path}`);

/** Nothing is wrong with the page that is open: at any width, in its console, or outside. */
async function expectSound(): Promise<void> {
  expect(await faultsOfLooks(admin.page)).toEqual([]);
  expect(admin.faults).toEqual([]);
  expect(outside).toEqual([]);
}

/** Resolves once the page that is open has asked for itself again because of what `act` does. */
async function refreshBy(act: () => Promise<unknown>): Promise<void> {
  const { page } = admin;
  const asked = page.waitForResponse(
    (response) => response.url() === page.url() && response.request().resourceType() === "fetch",
  );
  await act();
  await (await asked).finished();
  await page.evaluate("new Promise((resolve) => setTimeout(resolve, 50))");
}

async function seed(): Promise<void> {
  const html = "<h1>Your invoice</h1><p>It is due.</p>";
  ids.pending = await schedule(product, {
    subject: "Your invoice",
    html_body: html,
    tags: ["invoice", "november", "vip"],
    scheduled_at: inMs(3 * 86_400_000),
    attachments: [{ filename: "invoice.txt", contentType: "text/plain", content: "aGk=" }],
  });
  ids.failed = await schedule(product, { recipients: [gone], subject: "Welcome", max_retries: 0 });
  ids.long = await schedule(product, {
    subject: "word ".repeat(199),
    recipients: [`${"x".repeat(60)}@${"sub.".repeat(40)}example.test`],
    scheduled_at: inMs(86_400_000),
  });
  ids.arabic = await schedule(product, { subject: "مرحبا بك في خدمتنا الجديدة" });
  ids.japanese = await schedule(product, { subject: "ご注文ありがとうございます" });
  ids.held = await schedule(product, { subject: "Contract", scheduled_at: inMs(86_400_000) });
  await product.api("POST", `/api/v1/emails/${ids.held}/hold`, {});
  await statusOf(product, ids.failed, ["failed"]);
  await statusOf(product, ids.japanese, ["sent"]);
}

describe("the console", () => {
  test("says what to do where there is nothing yet", async () => {
    await open("/console/emails");
    await admin.page.getByText("No emails yet").waitFor();
    await expectSound();
    await open("/console/dead-letters");
    await admin.page.getByText("Nothing needs you").waitFor();
    await expectSound();
    await open("/");
    await admin.page.getByText("From a shell").waitFor();
    await expectSound();
  });

  test("shows an email that arrives while somebody looks, without a reload", async () => {
    // The page that teaches becomes the one that shows what goes out when.
    await schedule(product, { subject: "First one", scheduled_at: inMs(86_400_000) });
    await admin.page.getByText("What goes out when").waitFor();
    await open("/console/emails");
    await schedule(product, { subject: "Second one", scheduled_at: inMs(86_400_000) });
    await admin.page.getByText("Second one").waitFor();
    // A page that reloads, again and again, would lose this.
    await admin.page.evaluate("window.isSame = true");
    await open("/console/emails?q=tag:none");
    await admin.page.evaluate("window.isSame = true");
    for (const subject of ["Third one", "Fourth one"]) {
      await refreshBy(() => schedule(product, { subject, scheduled_at: inMs(86_400_000) }));
    }
    expect(await admin.page.evaluate("window.isSame")).toBe(true);
    await seed();
    expect(admin.faults).toEqual([]);
  });

  test.each([
    "/",
    "/console/dead-letters",
    "/console/emails?sort=due",
    "/console/compose",
    "/console/compose?copy=PENDING",
    "/console/webhooks",
    "/console/keys",
    "/console/settings",
    "/console/audit?verify=true",
    "/console/health",
    "/console/emails",
    "/console/emails?q=status:failed",
    "/console/emails?q=nonsense",
    "/console/emails/PENDING",
    "/console/emails/PENDING?part=headers",
    "/console/emails/FAILED",
    "/console/emails/LONG",
    "/console/emails/ARABIC",
    "/console/emails/HELD",
  ])("is sound at every width, by day and by night, at %s", async (path) => {
    await open(path.replace(/[A-Z]{4,}/, (name) => ids[name.toLowerCase()] ?? ""));
    await expectSound();
  });

  test("is used by the keyboard alone", async () => {
    const { page } = admin;
    await open("/console/emails");
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("Next row").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("/");
    await page.keyboard.type("tag:invoice");
    await page.keyboard.press("Enter");
    await page.waitForURL(/q=tag/);
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.getByText("1 selected:").waitFor();
    await page.keyboard.press("x");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${product.url}/console/emails/${ids.pending}`);
    await page.goBack();
    await page.waitForURL(/q=tag/);
    await page.keyboard.press("g");
    await page.keyboard.press("e");
    await page.waitForURL(`${product.url}/console/emails`);
  });

  test("shows when emails go out, and zooms by drag, link and key", async () => {
    const { page } = admin;
    await open("/");
    const bars = page.locator(".timeline a");
    expect(await bars.count()).toBeGreaterThan(0);
    await page.getByRole("link", { name: "Next week" }).click();
    await page.waitForURL(/from=/);
    await page.keyboard.press("ArrowRight");
    await page.getByRole("link", { name: "All", exact: true }).click();
    await page.waitForURL(`${product.url}/`);
    // In one step: what a refresh replaces between finding and measuring has no place.
    const box: DOMRect = await page.evaluate(
      "document.querySelector('.timeline svg').getBoundingClientRect()",
    );
    await page.mouse.move(box.x + box.width * 0.5, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 20, { steps: 4 });
    // A picture that was replaced meanwhile would lose the drag.
    await refreshBy(() => schedule(product, { subject: "Meanwhile", scheduled_at: inMs(3.6e6) }));
    await page.mouse.move(box.x + box.width * 0.7, box.y + 20, { steps: 4 });
    await page.mouse.up();
    await page.waitForURL(/from=/);
    await page.goBack();
    await bars.last().press("Enter");
    await page.waitForURL(/status%3Apending.*sort=due/);
    await page.locator("tr[data-id]").first().waitFor();
    expect(admin.faults).toEqual([]);
  });

  test("says what a group of dead letters means, and dismisses it", async () => {
    const { page } = admin;
    await schedule(product, { recipients: ["full@example.test"], max_retries: 0 });
    await open("/console/dead-letters");
    const group = page.locator(".dead-group", { hasText: "mailbox is full" });
    await until("the group is there", async () => {
      await page.reload();
      return (await group.count()) === 1;
    });
    await group.getByText("Dismiss…").click();
    await group.getByLabel("Why (goes into the journal)").fill("asked them");
    await group.getByRole("button", { name: "Dismiss 1 email" }).click();
    await page.getByText("1 email dismissed.").waitFor();
    expect(await group.count()).toBe(0);
  });

  test("writes an email by hand, with a preview that follows", async () => {
    const { page } = admin;
    await open("/console/compose");
    await page.getByLabel("To", { exact: true }).first().fill("ann@example.test");
    await page.getByLabel("Subject").fill("Written by hand");
    await page.getByLabel("HTML").fill("<h1>Hello Ann</h1>");
    await page.getByLabel("Date and time").fill("2031-07-01T09:00");
    const preview = page.frameLocator(".compose-preview iframe");
    await preview.getByText("Hello Ann").waitFor();
    await page.getByRole("button", { name: "Schedule" }).click();
    await page.getByText("Scheduled: it goes out").waitFor();
    await page.getByRole("link", { name: "Edit", exact: true }).click();
    await page.getByLabel("Subject").fill("Written twice");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "Written twice" }).waitFor();
    expect(admin.faults).toEqual([]);
  });

  test("stops sending with a reason, says so on every page, and goes on", async () => {
    const { page } = admin;
    await open("/console/health");
    await page.getByText("Pause sending…").click();
    await page.getByLabel("Why").fill("provider change");
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    await until("every page says so", async () => {
      await open("/console/emails");
      return (await page.getByText("provider change").count()) > 0;
    });
    // A page that is open while somebody else resumes and pauses tells of both without a reload.
    await open("/console/health");
    await page.evaluate("window.isSame = true");
    const alerts = page.locator(".alerts");
    const root = await product.token("root", "admin");
    await alerts.getByText("provider change").waitFor();
    await product.api("POST", "/api/v1/resume", {}, root);
    await alerts.getByText("provider change").waitFor({ state: "hidden" });
    await product.api("POST", "/api/v1/pause", { reason: "another provider" }, root);
    await alerts.getByText("another provider").waitFor();
    await page.locator(".pauses").getByText("another provider").waitFor();
    expect(await page.evaluate("window.isSame")).toBe(true);
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByText("Sending goes on.").waitFor();
  });

  test("asks before it cancels, and says what was done", async () => {
    const { page } = admin;
    const id = await schedule(product, { subject: "Not to go", scheduled_at: inMs(86_400_000) });
    await open(`/console/emails/${id}`);
    await page.getByText("Cancel…").click();
    await page.getByText("This can't be undone").waitFor();
    expect((await statusOf(product, id, ["pending"])).status).toBe("pending");
    await page.getByRole("button", { name: "Cancel email" }).click();
    await page.getByText("Cancelled: it will not be sent.").waitFor();
    await statusOf(product, id, ["cancelled"]);
  });

  test("says it in words when somebody else was quicker", async () => {
    const { page } = admin;
    const id = await schedule(product, { subject: "Two at once", scheduled_at: inMs(86_400_000) });
    await open(`/console/emails/${id}`);
    await page.getByText("Reschedule…").click();
    await product.api("PATCH", `/api/v1/emails/${id}`, { tags: ["changed"] });
    await page.getByRole("button", { name: "Reschedule" }).click();
    await page.getByText("the email was changed meanwhile").waitFor();
    admin.faults.length = 0;
  });

  test("says that it reconnects, and heals by itself", async () => {
    const { page } = admin;
    await open("/console/emails");
    await page.context().setOffline(true);
    await page.getByText("Reconnecting…").waitFor();
    await page.context().setOffline(false);
    await page.getByText("Reconnecting…").waitFor({ state: "hidden" });
    admin.faults.length = 0;
  });
});

describe("without scripts", () => {
  test("one signs in, finds an email, and cancels it", async () => {
    const id = await schedule(product, { tags: ["plain"], scheduled_at: inMs(86_400_000) });
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    // Not signed in: the page that was asked for comes after.
    await page.goto(`${product.url}/console/emails?q=tag%3Aplain`);
    await page.fill("[name=token]", await product.token("ada"));
    await page.click("form:has([name=token]) button");
    await page.waitForURL(/q=tag%3Aplain/);
    await page.click("tbody a");
    await page.click("summary:has-text('Cancel…')");
    await page.click("button:has-text('Cancel email')");
    await page.waitForSelector("text=Cancelled: it will not be sent.");
    await statusOf(product, id, ["cancelled"]);
    await context.close();
  });

  test("a selection of dead letters is replayed", async () => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(`${product.url}/console/emails?q=status%3Afailed`);
    await page.fill("[name=token]", await product.token("ada"));
    await page.click("form:has([name=token]) button");
    // Whichever is the first of the list.
    const tries = () => sink.steps.filter(({ phase }) => phase === "rcpt").length;
    const before = tries();
    await page.check("tbody [type=checkbox]");
    await page.click("button:has-text('Replay…')");
    await page.click("button:has-text('Replay 1 email')");
    await page.waitForSelector("text=1 email replayed.");
    await until("it is tried again", () => tries() > before);
    await context.close();
  });
});
