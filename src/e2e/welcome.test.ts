import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Product, startProduct } from "../testing/product/product.ts";
import { until } from "../testing/servers/child-server.ts";

setDefaultTimeout(90_000);

let product: Product;
beforeAll(async () => {
  // As scripts/start does: its output here is no terminal.
  product = await startProduct({ serveArgs: ["--welcome"] });
  await until("the welcome is printed", () => pasteLine() !== undefined);
});
afterAll(() => product?.kill());

function pasteLine(): string | undefined {
  return product
    .output()
    .split("\n")
    .find((line) => /^(curl|wget|bun|node|BUN_BE_BUN=1) /.test(line));
}

describe("what the binary says when it starts without configuration", () => {
  test("its line, pasted as it is, schedules a mail that is captured ten seconds later", async () => {
    const pastedAt = Date.now();
    const shell = Bun.spawn(["sh", "-c", pasteLine() ?? "false"], { stderr: "pipe" });
    const answer = await new Response(shell.stdout).json();
    expect(answer).toMatchObject({ success: true, data: { status: "pending" } });
    const scheduledAt = Date.parse(answer.data.scheduled_at);
    expect(scheduledAt - pastedAt).toBeWithin(5_000, 12_000);

    const file = join(product.dataDir, "captured", `${answer.data.id}.eml`);
    await until("the mail is captured", () => Bun.file(file).exists(), 40_000);
    expect(Date.now()).toBeGreaterThanOrEqual(scheduledAt);
    expect(await readFile(file, "utf8")).toContain("Hello from Taskforce Mailer");
  });

  test("its sign-in link opens the page once, and the cookie goes on", async () => {
    const link = /http:\S+sign-in\S+/.exec(product.output())?.[0] ?? "";
    const first = await fetch(link, { redirect: "manual" });
    const cookie = first.headers.get("set-cookie") ?? "";
    expect(cookie).toContain("HttpOnly");
    expect(cookie).toContain("SameSite=Strict");

    const session = cookie.split(";")[0] ?? "";
    const page = await fetch(`${product.url}/console/emails`, { headers: { cookie: session } });
    expect(page.status).toBe(200);
    expect(await page.text()).toContain("Hello from Taskforce Mailer");
    const second = await fetch(link, { redirect: "manual" });
    expect(second.headers.get("set-cookie") ?? "").not.toContain(`=${session.split("=")[1]}`);
    expect(second.status).toBeGreaterThanOrEqual(400);
  });
});

test("a log gets no credential, and says how one is had", async () => {
  const logged = await startProduct();
  await until("it says that it runs", () => logged.output().includes("token --sub developer"));
  expect(logged.output()).not.toMatch(/code=|eyJ/);
  await logged.kill();
});
