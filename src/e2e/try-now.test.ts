import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser } from "playwright-core";
import { type BrowserVisit, launchBrowser, visit } from "../testing/product/browser.ts";
import { faultsOfLooks, signInOn } from "../testing/product/console-browser.ts";
import { schedule, statusOf } from "../testing/product/email-requests.ts";
import type { Product } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";
import { replyAt } from "../testing/servers/smtp-sink-rules.ts";

setDefaultTimeout(90_000);

/** The console's process accepts; the breaker is in another one, which sends. */
let stack: ProductionStack;
let api: Product;
let browser: Browser;
let admin: BrowserVisit;
beforeAll(async () => {
  browser = await launchBrowser();
  // After such a refusal the next probe goes after half of this: long after the test.
  stack = await startStack({ env: { RETRY_BASE_MS: "1200000" } });
  api = await stack.start({ ROLE: "api" });
  await stack.start({ ROLE: "worker" });
  admin = await visit(browser);
  await signInOn(admin.page, api, await api.token("ops", "admin"));
});
afterAll(async () => {
  await admin?.close();
  await browser?.close();
  await stack?.close();
});

test("Health tells the server's last words, and its button makes another process try at once", async () => {
  const { page } = admin;
  stack.sink.setRules(replyAt("greeting", "554 5.7.1 You are on our list"));
  const id = await schedule(api);
  const transport = page.locator(".transport");
  await page.goto(`${api.url}/console/health`);
  // The page follows by itself.
  await transport.getByText("554 5.7.1").first().waitFor();
  await transport.getByText("next try").waitFor();
  const nextTry = await transport.locator("time").last().getAttribute("datetime");
  expect(Date.parse(nextTry ?? "") - Date.now()).toBeGreaterThan(300_000);
  expect(await page.locator(".processes tbody tr").count()).toBe(2);
  expect(await faultsOfLooks(page)).toEqual([]);

  stack.sink.setRules();
  await transport.getByRole("button", { name: "Try now" }).click();
  await page.getByText("The next email tries").waitFor();
  await statusOf(api, id, ["sent"]);
  await transport.getByText("mail gets through").waitFor();
  const path = "/api/v1/audit?action=transport.probe_requested";
  const { body } = await api.api<{ actor: string }[]>(
    "GET",
    path,
    undefined,
    await api.token("ops", "admin"),
  );
  expect(body.data.map(({ actor }) => actor)).toEqual(["ops"]);
  expect(admin.faults).toEqual([]);
});

test("what the worker did is in the charts of the process that only accepts", async () => {
  await until("the minute is written", async () => {
    await admin.page.goto(`${api.url}/console/health`);
    const label = await admin.page
      .getByRole("img", { name: /^Throughput/ })
      .getAttribute("aria-label");
    return label === "Throughput, last hour. Accepted: 1, Sent: 1";
  });
});
