import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import pg from "pg";
import type { Browser } from "playwright-core";
import { installedBoardFiles } from "../admin/board/board-files.ts";
import { openPgliteDatabase } from "../store/pglite-database.ts";
import { type BrowserVisit, launchBrowser, visit } from "../testing/product/browser.ts";
import { inMs, schedule, statusOf, subjectOf } from "../testing/product/email-requests.ts";
import { type Product, startProduct } from "../testing/product/product.ts";
import { startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";
import { replyAt } from "../testing/servers/smtp-sink-rules.ts";

setDefaultTimeout(90_000);

const gone = "gone@example.test";
/** Refused once; whoever sends again finds that the mailbox is there now. */
const refusedOnce = () => replyAt("rcpt", "550 5.1.1 No such user", { argument: gone, times: 1 });

interface Installation {
  product: Product;
  sink: SmtpSink;
  /** The journal's actors and actions; stops the product where it has the database for itself. */
  actions(): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

const actionsQuery =
  "select actor, action, detail ->> 'region' as region from mailer.journal where action ~ '^sending[.](paused|resumed)|replayed|rescheduled|cancelled' order by id";

async function onRedis(): Promise<Installation> {
  const stack = await startStack({ sink: { rules: [refusedOnce()] } });
  return {
    product: await stack.start(),
    sink: stack.sink,
    async actions() {
      const client = new pg.Client({ connectionString: stack.databaseUrl });
      await client.connect();
      const { rows } = await client.query(actionsQuery);
      await client.end();
      return rows;
    },
    close: () => stack.close(),
  };
}

async function embedded(): Promise<Installation> {
  const sink = await createSmtpSink({ rules: [refusedOnce()] });
  const env = { SMTP_HOST: sink.host, SMTP_PORT: String(sink.port), SMTP_FROM: "me@example.test" };
  const product = await startProduct({ env });
  return {
    product,
    sink,
    async actions() {
      await product.stop();
      const database = await openPgliteDatabase({ dataDir: product.dataDir });
      try {
        return await (await directSql(database)).query(actionsQuery);
      } finally {
        await database.close();
      }
    },
    async close() {
      await product.kill();
      await sink.close();
    },
  };
}

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

describe.each([
  { name: "Redis and PostgreSQL", open: onRedis, isShared: true },
  { name: "the embedded default", open: embedded, isShared: false },
])("the board on $name", ({ open, isShared }) => {
  let at: Installation;
  let admin: BrowserVisit;
  const boardUrl = (path = "") => `${at.product.url}/admin/queues${path}`;
  beforeAll(async () => {
    at = await open();
    admin = await signIn("olga", "admin");
  });
  afterAll(async () => {
    await admin?.close();
    await at?.close();
  });

  async function signIn(sub: string, role?: string): Promise<BrowserVisit> {
    const visitor = await visit(browser);
    await visitor.page.goto(`${at.product.url}/`);
    await visitor.page.fill("[name=token]", await at.product.token(sub, role));
    await visitor.page.click("button[type=submit]");
    await visitor.page.waitForURL(`${at.product.url}/`);
    return visitor;
  }

  /** Opens the menu of the queue that is shown. */
  async function openMenu(): Promise<void> {
    await admin.page.locator("[class*=trailing] [aria-haspopup=menu]").click();
    await admin.page.locator("[role=menuitem]:visible").first().waitFor();
  }

  async function pressInMenu(item: string): Promise<void> {
    await openMenu();
    await admin.page.getByRole("menuitem", { name: item }).click();
    await admin.page.getByRole("button", { name: "Confirm" }).click();
  }

  async function emailQueue(): Promise<{ isPaused: boolean; counts: Record<string, number> }> {
    const response = await admin.page.request.get(boardUrl("/api/queues"));
    const { queues } = await response.json();
    return queues.find((queue: { name: string }) => queue.name === "emails");
  }

  test("is reached from the console, and shows the queues and a delayed email", async () => {
    const id = await schedule(at.product, { scheduled_at: inMs(300_000) });
    await admin.page.getByRole("link", { name: "Queues" }).click();
    await admin.page.getByRole("link", { name: "dead-letters" }).first().waitFor();
    await admin.page.getByRole("link", { name: "emails" }).first().click();
    await admin.page.getByRole("link", { name: /^Delayed/i }).click();
    await admin.page.getByText(id, { exact: true }).first().waitFor();
    expect(admin.faults).toEqual([]);
  });

  test("shows what the mail server said of a dead letter, and a replay pressed there sends it", async () => {
    const fields = { recipients: [gone], subject: "Invoice", max_retries: 0 };
    const id = await schedule(at.product, fields);
    await statusOf(at.product, id, ["failed"]);
    await admin.page.goto(boardUrl("/queue/dead-letters?status=failed"));
    await admin.page.getByText("550 5.1.1 No such user").first().waitFor();

    const actions = admin.page.locator("[class*=jobActions] button:visible");
    expect(await actions.count()).toBe(1);
    await actions.click();
    await admin.page.getByRole("button", { name: "Confirm" }).click();

    await statusOf(at.product, id, ["sent"]);
    expect(at.sink.acceptances.map(subjectOf)).toContain("Invoice");
    await admin.page.getByText("No failed jobs in this queue.").waitFor();
    expect(admin.faults).toEqual([]);
  });

  test("sends a delayed email at once, or cancels it", async () => {
    const subjects = ["Sent at once", "Never sent"];
    const [sent = "", never = ""] = await Promise.all(
      subjects.map((subject) => schedule(at.product, { subject, scheduled_at: inMs(400_000) })),
    );
    const press = async (id: string, icon: string) => {
      await admin.page.goto(boardUrl(`/queue/emails/${id}?status=delayed`));
      await admin.page.locator(`[class*=jobActions] button:has(.lucide-${icon})`).click();
      await admin.page.getByRole("button", { name: "Confirm" }).click();
    };
    await press(sent, "corner-up-left");
    await statusOf(at.product, sent, ["sent"]);
    await press(never, "trash-2");
    await statusOf(at.product, never, ["cancelled"]);
    expect(at.sink.acceptances.map(subjectOf)).toContain("Sent at once");
    expect(admin.faults).toEqual([]);
  });

  test("pauses sending until it is resumed", async () => {
    await admin.page.goto(boardUrl("/queue/emails"));
    await openMenu();
    expect(await admin.page.locator("[role=menuitem]:visible").allInnerTexts()).toEqual(["Pause"]);
    await admin.page.keyboard.press("Escape");
    await pressInMenu("Pause");
    await admin.page.getByText("[ Paused ]").first().waitFor();

    const id = await schedule(at.product, { subject: "While paused" });
    await until("it waits", async () => (await emailQueue()).counts.waiting === 1);
    expect(await emailQueue()).toMatchObject({ isPaused: true, counts: { active: 0 } });
    const console = await admin.page.request.get(`${at.product.url}/`);
    expect(await console.text()).toContain("Paused:");
    await pressInMenu("Resume");
    await statusOf(at.product, id, ["sent"]);
    expect(admin.faults).toEqual([]);
  });

  test("shows the queues of BullMQ beside it, where there are any, with what has ended", async () => {
    const response = await admin.page.request.get(boardUrl("/api/queues"));
    const { queues } = await response.json();
    const real = queues.filter(({ name }: { name: string }) => !/^(emails|dead-l)/.test(name));
    const names = real.map(({ name }: { name: string }) => name).toSorted();
    expect(names).toEqual(isShared ? ["maintenance", "ticks", "webhooks"] : []);
    // Of the periodic work the next one may be run now.
    for (const { name, readOnlyMode } of real) expect(readOnlyMode).toBe(name !== "maintenance");
    const ticks = real.find(({ name }: { name: string }) => name === "ticks");
    if (isShared) expect(ticks.counts.completed).toBeGreaterThan(0);
  });

  test("counts what queue-stats counts", async () => {
    const token = await at.product.token("olga", "admin");
    type Stats = Record<string, number>;
    const { body } = await at.product.api<Stats>("GET", "/api/v1/queue-stats", undefined, token);
    const { waiting, active, delayed, completed, failed, paused } = body.data;
    const counted = { waiting, active, delayed, completed, failed, paused };
    expect((await emailQueue()).counts).toMatchObject(counted);
  });

  test("neither shows nor does what would empty or edit a queue", async () => {
    const before = (await emailQueue()).counts;
    for (const action of ["obliterate", "empty", "promote", "clean/delayed"]) {
      const response = await admin.page.evaluate(
        async (url) => (await fetch(url, { method: "PUT" })).status,
        boardUrl(`/api/queues/emails/${action}`),
      );
      expect([action, response]).toEqual([action, 403]);
    }
    expect((await emailQueue()).counts).toEqual(before);
    await admin.page.goto(boardUrl("/queue/emails?status=delayed"));
    await admin.page.locator("[class*=jobActions]").first().waitFor({ state: "attached" });
    // Promote and cancel.
    expect(await admin.page.locator("[class*=jobActions] button:visible").count()).toBe(2);
    expect(await admin.page.locator("[class*=queueActions] button:visible").count()).toBe(0);
  });

  test("serves every file of the front end from inside the binary", async () => {
    for (const [path, content] of installedBoardFiles()) {
      if (!path.startsWith("static/")) continue;
      const response = await admin.page.request.get(boardUrl(`/${path}`));
      expect([path, response.status()]).toEqual([path, 200]);
      expect(await response.body()).toEqual(Buffer.from(content));
    }
  });

  test("is not there for who is no admin", async () => {
    const user = await signIn("ann");
    expect(await user.page.getByRole("link", { name: "Queues" }).count()).toBe(0);
    const stranger = await visit(browser);
    for (const [visitor, status] of [
      [user, 403],
      [stranger, 401],
    ] as const) {
      const paths = ["", "/queue/dead-letters", "/static/images/logo.svg", "/api/queues"];
      for (const path of paths) {
        const response = await visitor.page.request.get(boardUrl(path));
        expect([path, response.status()]).toEqual([path, status]);
      }
      const pause = await visitor.page.request.put(boardUrl("/api/queues/emails/pause"), {
        headers: { "X-Requested-With": "test" },
      });
      expect(pause.status()).toBe(status);
    }
    await stranger.page.goto(boardUrl());
    await stranger.page.locator("[name=token]").waitFor();
    expect((await emailQueue()).isPaused).toBe(false);
    await user.close();
    await stranger.close();
  });

  test("leaves an entry in the journal for every click, and for nothing else", async () => {
    expect(await at.actions()).toEqual([
      { actor: "olga", action: "email.replayed", region: null },
      { actor: "olga", action: "email.rescheduled", region: null },
      { actor: "olga", action: "email.cancelled", region: null },
      { actor: "olga", action: "sending.paused", region: "local" },
      { actor: "olga", action: "sending.resumed", region: "local" },
    ]);
  });
});
