import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import type { Product } from "./product.ts";

const axeSource = readFileSync(
  new URL("../../../node_modules/axe-core/axe.min.js", import.meta.url),
  "utf8",
);

/** Signs in by the form, as a person does, and waits for the page that follows. */
export async function signInOn(page: Page, { url }: Product, token: string): Promise<void> {
  await page.goto(`${url}/`);
  await page.fill("[name=token]", token);
  await page.click("form:has([name=token]) button");
  await page.waitForURL(`${url}/`);
}

/** What axe finds against WCAG 2.2 AA and its best practices, each as `rule: element`. */
export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  return await page.evaluate(async () => {
    // The message's own HTML is not ours to judge.
    const { violations } = await (
      window as unknown as { axe: { run(scope: object): Promise<AxeResult> } }
    ).axe.run({ exclude: [["iframe"]] });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  });
}

interface AxeResult {
  violations: { id: string; nodes: { html: string }[] }[];
}

export interface Look {
  width: number;
  scheme: "light" | "dark";
}

/** From a wide screen to a phone, by day and by night. */
export const looks: readonly Look[] = [
  { width: 1280, scheme: "light" },
  { width: 768, scheme: "dark" },
  { width: 390, scheme: "light" },
];

/** Finds where a page is wider than its screen or breaks a rule of axe, at every width. */
export async function faultsOfLooks(page: Page): Promise<string[]> {
  const faults: string[] = [];
  for (const { width, scheme } of looks) {
    await page.setViewportSize({ width, height: 844 });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    const surplus = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
    if (Number(surplus) > 0) faults.push(`${width} px: too wide by ${surplus} px`);
    for (const fault of await axeViolations(page)) faults.push(`${width} px ${scheme}: ${fault}`);
  }
  await page.setViewportSize({ width: 1280, height: 860 });
  return faults;
}
