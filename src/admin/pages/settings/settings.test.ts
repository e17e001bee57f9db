import { expect, test } from "bun:test";
import { settingsOf } from "../../../config-settings.ts";
import { configVariables } from "../../../config-variables.ts";
import { bearerOf, createTestConsole } from "../../../testing/product/test-console.ts";

const path = "/console/settings";
const canary = "canary-8d1f";

/** Every variable set, its value telling its name. */
const full = Object.fromEntries(
  configVariables.map(({ name }) => [name, `https://user:${canary}@host/${name}-value`]),
);

async function rowsFor(env: Record<string, string>): Promise<Map<string, string>> {
  const page = createTestConsole({ settings: () => settingsOf(env) });
  const html = await (await page.get(path, await bearerOf("ops", "admin"))).text();
  expect(html).not.toContain(canary);
  const rows = html.split("<tr>").slice(2);
  return new Map(rows.map((row) => [/<code>(\w+)<\/code>/.exec(row)?.[1] ?? "", row]));
}

test("shows every variable, where it comes from, and no secret", async () => {
  const rows = await rowsFor(full);
  expect([...rows.keys()]).toEqual(configVariables.map(({ name }) => name));
  for (const { name, isSecret } of configVariables) {
    const row = rows.get(name) ?? "";
    expect([name, row.includes(`//…@host/${name}-value`)]).toEqual([name, !isSecret]);
    expect(row).toContain("<strong>environment</strong>");
    if (isSecret) expect(row).toContain('<td class="list">set</td>');
  }
});

test("says what counts where nothing is set; empty counts as not set", async () => {
  const rows = await rowsFor({ PORT: " ", JWT_SECRET: "" });
  expect(rows.get("PORT")).toContain("<code>3000</code>");
  expect(rows.get("JWT_SECRET")).toContain("not set");
  for (const row of rows.values()) expect(row).toContain("<td>default</td>");
});

test("is there for admins alone", async () => {
  const page = createTestConsole({ settings: () => settingsOf({ REGION: "mars-7" }) });
  const response = await page.get(path, await bearerOf("ada"));
  expect(response.status).toBe(404);
  const html = await response.text();
  expect(html).not.toContain("mars-7");
  expect(html).not.toContain('href="/console/settings"');
  expect((await page.get(path)).status).toBe(401);
});
