import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser } from "playwright-core";
import { type BrowserVisit, launchBrowser, visit } from "../testing/product/browser.ts";
import { schedule, statusOf } from "../testing/product/email-requests.ts";
import { type Product, startProduct } from "../testing/product/product.ts";
import { createSmtpSink } from "../testing/servers/smtp-sink.ts";
import { replyAt } from "../testing/servers/smtp-sink-rules.ts";

setDefaultTimeout(90_000);

/** Counts connections, since some ways of asking never get as far as a request. */
function startTracker() {
  let hits = 0;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        hits++;
        socket.end();
      },
      data: () => {},
    },
  });
  const url = `http://127.0.0.1:${server.port}`;
  return { url, hits: () => hits, close: () => server.stop(true) };
}

type Tracker = ReturnType<typeof startTracker>;

/** Runs as script wherever it is taken for HTML. */
const markup = `"'><img src=x onerror="parent.hurt=top.hurt=window.hurt=1"><script>hurt=1</script>`;

/** Everything by which HTML asks for something or runs, without a click. */
const hostileHtml = (url: string) => `<!doctype html>
<head><meta http-equiv="refresh" content="0;url=${url}/refresh">
<link rel="preconnect" href="${url}"><link rel="dns-prefetch" href="${url}">
<link rel="prefetch" href="${url}/prefetch"><link rel="stylesheet" href="${url}/a.css">
<link rel="preload" as="image" href="${url}/preload"><link rel="icon" href="${url}/icon">
<style>@import url(${url}/import.css); body { background: url(${url}/background) }
@font-face { font-family: f; src: url(${url}/font) } p { font-family: f }</style></head>
<body onload="parent.hurt=1" background="${url}/old"><base href="${url}/"><p id="seen">Seen</p>
<script>parent.hurt=top.hurt=1;fetch("${url}/fetch")</script><script src="${url}/a.js"></script>
<script type="speculationrules">{"prefetch":[{"urls":["${url}/rule"]}]}</script>
<img src="${url}/img" srcset="${url}/set 2x" onerror="parent.hurt=1"><picture><source srcset="${url}/p"></picture>
<video autoplay src="${url}/video" poster="${url}/poster"></video><audio autoplay src="${url}/audio"></audio>
<iframe src="${url}/frame"></iframe><iframe srcdoc="<script>top.hurt=1</script>"></iframe>
<object data="${url}/object"></object><embed src="${url}/embed">
<svg onload="parent.hurt=1"><image href="${url}/svg"/><use href="${url}/use#a"/></svg>
<form id="f" action="${url}/form"><input autofocus onfocus="parent.hurt=1"></form>
<a href="javascript:top.hurt=1" id="link">link</a></body>`;

const fields = (url: string) => ({
  recipients: [{ address: "gone@example.test", name: markup }],
  subject: `Subject ${markup}`,
  body: `Text ${markup}`,
  html_body: hostileHtml(url),
  reply_to: { address: "r@example.test", name: markup },
  headers: { "X-Hostile": markup },
  tags: ["<img/src=x/onerror=hurt=1>"],
  metadata: { [markup]: markup },
  attachments: [
    {
      filename: `${markup.replaceAll("/", "")}.html`,
      contentType: "text/html",
      content: btoa(hostileHtml(url)),
    },
  ],
});

let browser: Browser;
let tracker: Tracker;
beforeAll(async () => {
  browser = await launchBrowser();
  tracker = startTracker();
});
afterAll(async () => {
  await browser?.close();
  tracker?.close();
});

async function signIn(product: Product): Promise<BrowserVisit> {
  const visitor = await visit(browser);
  await visitor.page.goto(`${product.url}/`);
  await visitor.page.fill("[name=token]", await product.token(`root<img src=x>`, "admin"));
  await visitor.page.click("button[type=submit]");
  await visitor.page.waitForURL(`${product.url}/`);
  return visitor;
}

/** Neither ran a script of theirs, nor asked anybody for anything. */
async function expectUnhurt({ page }: BrowserVisit): Promise<void> {
  await page.waitForLoadState("load");
  // Nothing tells that nothing will happen; what happened on this machine came within 100 ms.
  await page.waitForTimeout(600);
  expect(await page.evaluate("window.hurt")).toBeUndefined();
  expect(tracker.hits()).toBe(0);
}

describe("the console, with content that somebody made to hurt", () => {
  let product: Product;
  let admin: BrowserVisit;
  let id: string;
  beforeAll(async () => {
    product = await startProduct();
    id = await schedule(product, fields(tracker.url));
    await statusOf(product, id, ["sent"]);
    admin = await signIn(product);
  });
  afterAll(async () => {
    await admin?.close();
    await product?.kill();
  });

  test.each([
    "/console/emails",
    "/console/emails/ID?part=text",
    "/console/emails/ID?part=headers",
    "/console/emails/ID?part=source",
  ])(
    "shows it as text at %s, also after refreshing itself, and its own page breaks no rule of ours",
    async (path) => {
      admin.faults.length = 0;
      await admin.page.goto(`${product.url}${path.replace("ID", id)}`);
      await admin.page.getByText("onerror").first().waitFor({ state: "attached" });
      if (!path.includes("ID")) await admin.page.waitForResponse(`${product.url}${path}`);
      await expectUnhurt(admin);
      expect(admin.faults).toEqual([]);
    },
  );

  test("shows its HTML in a frame that runs nothing, reaches nobody, and cannot leave", async () => {
    await admin.page.goto(`${product.url}/console/emails/${id}`);
    const frame = admin.page.frameLocator("iframe");
    await frame.locator("#seen").waitFor();
    await expectUnhurt(admin);
    await frame.locator("#link").click();
    await expectUnhurt(admin);
    expect(new URL(admin.page.url()).pathname).toBe(`/console/emails/${id}`);
    // The rules stop scripts and requests: without them there would be nothing to report.
    expect(admin.faults.join("\n")).toMatch(/Content Security Policy/);
  });

  test("runs nothing either when its HTML is opened outside of the frame", async () => {
    await admin.page.goto(`${product.url}/console/emails/${id}/html`);
    await admin.page.locator("#seen").waitFor();
    await expectUnhurt(admin);
    expect(admin.page.url()).toBe(`${product.url}/console/emails/${id}/html`);
  });

  test("saves an attachment instead of showing it", async () => {
    await admin.page.goto(`${product.url}/console/emails/${id}`);
    const [download] = await Promise.all([
      admin.page.waitForEvent("download"),
      admin.page.locator(".attachments a").first().click(),
    ]);
    expect(download.suggestedFilename()).toEndWith(".html");
    expect(await admin.page.evaluate("window.hurt")).toBeUndefined();
    expect(tracker.hits()).toBe(0);
  });
});

describe("the board, with content and replies that somebody made to hurt", () => {
  test("shows them as text, and breaks no rule of ours", async () => {
    const reply = `550 5.1.1 No such ${markup}`;
    const sink = await createSmtpSink({ rules: [replyAt("rcpt", reply)] });
    const env = { SMTP_HOST: sink.host, SMTP_PORT: String(sink.port), SMTP_FROM: "a@example.test" };
    const product = await startProduct({ env });
    const admin = await signIn(product);
    try {
      const id = await schedule(product, { ...fields(tracker.url), max_retries: 0 });
      await statusOf(product, id, ["failed"]);
      const board = `${product.url}/admin/queues/queue/dead-letters`;
      for (const path of ["?status=failed", `/${id}?status=failed`]) {
        await admin.page.goto(`${board}${path}`);
        await admin.page.getByText("No such").first().waitFor();
        await admin.page.getByText("Subject").first().waitFor();
        await expectUnhurt(admin);
      }
      expect(admin.faults).toEqual([]);
    } finally {
      await admin.close();
      await product.kill();
      await sink.close();
    }
  });
});
