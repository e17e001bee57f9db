import { type Browser, chromium, type Page } from "playwright-core";

export interface BrowserVisit {
  readonly page: Page;
  /** What went wrong on any page: console errors, exceptions, requests that failed. */
  readonly faults: string[];
  close(): Promise<void>;
}

/** Debian's Chromium; `scripts/test` installs it where it is missing. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.TEST_CHROMIUM ?? "/usr/bin/chromium",
    // Tests may run as root in a container with a small /dev/shm.
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
}

/** A browser of its own: no cookies, nothing cached. */
export async function visit(browser: Browser): Promise<BrowserVisit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text());
  });
  page.on("pageerror", (error) => void faults.push(error.message));
  page.on("response", (response) => {
    if (response.status() >= 400) faults.push(`${response.status()} ${response.url()}`);
  });
  return { page, faults, close: () => context.close() };
}
