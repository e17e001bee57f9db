import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../../../testing/product/test-api.ts";
import {
  bearerOf,
  consoleBase,
  createTestConsole,
  pagesOf,
} from "../../../testing/product/test-console.ts";
import { spanOf, wholeSpan, windowsAround } from "./edges.ts";

const now = new Date("2026-11-30T12:00:00Z");
const hourMs = 3_600_000;

describe("the steps of the timeline", () => {
  test("grow from minutes to months, without a gap", () => {
    const { past, planned } = wholeSpan(now);
    expect(past).toHaveLength(13);
    expect(past[0]).toEqual(new Date("2026-11-30T11:00:00Z"));
    expect(past.at(-1)).toEqual(now);
    expect(planned[0]).toEqual(now);
    expect(planned[12]).toEqual(new Date("2026-11-30T13:00:00Z"));
    expect(planned.length).toBeLessThanOrEqual(81);
    const lengths = planned.slice(1).map((to, at) => to.getTime() - (planned[at]?.getTime() ?? 0));
    expect(lengths).toEqual(lengths.toSorted((a, b) => a - b));
  });

  test("are even in a window of the address, which never begins in the past", () => {
    const window = { from: "2026-11-30T11:00:00Z", to: "2026-11-30T14:00:00Z" };
    const { planned, past } = spanOf(window, now);
    expect(past).toEqual([]);
    expect([planned[0], planned.at(-1)]).toEqual([now, new Date(window.to)]);
  });

  test.each([
    {},
    { from: "x", to: "y" },
    { from: "2026-12-01T00:00:00Z", to: "2026-12-01T00:00:01Z" },
    { from: "2026-12-01T00:00:00Z", to: "2036-12-01T00:00:00Z" },
    { from: "2020-01-01T00:00:00Z", to: "2020-01-02T00:00:00Z" },
  ])("are the whole ones where the address has no window: %j", (query) => {
    expect(spanOf(query, now).window).toBeNull();
  });

  test("lead to windows that the address takes", () => {
    const around = windowsAround({ from: now, to: new Date(now.getTime() + hourMs) }, now);
    for (const path of [around.earlier, around.later, around.closer, around.wider]) {
      const query = Object.fromEntries(new URL(path, consoleBase).searchParams);
      expect([path, spanOf(query, now).window === null]).toEqual([path, false]);
    }
  });
});

describe("home", () => {
  let api: TestApi;
  let page: ReturnType<typeof createTestConsole>;
  beforeAll(async () => {
    api = await startTestApi();
    page = createTestConsole(pagesOf(api));
  });
  afterAll(() => api?.close());

  const home = async (sub: string) => await (await page.get("/", await bearerOf(sub))).text();

  test("teaches whoever has none, with this server's address and program", async () => {
    const html = await home("new");
    expect(html).toContain(`curl ${consoleBase}/api/v1/schedule-mail`);
    expect(html).toContain("$(DATA_DIR=/d /opt/mailer token --sub you)");
    expect(html).not.toContain("What goes out when");
  });

  test("names what is next, earliest first, and what needs a person; of others nothing", async () => {
    const inHours = (hours: number) => new Date(Date.now() + hours * hourMs).toISOString();
    await api.schedule({ subject: "Later one", scheduled_at: inHours(2) });
    await api.schedule({ subject: "Sooner one", scheduled_at: inHours(1) });
    await api.deliver(await api.schedule({ max_retries: 0 }), noUserReply);
    const html = await home("ada");
    expect(html.indexOf("Sooner one")).toBeLessThan(html.indexOf("Later one"));
    expect(html).toContain("550 5.1.1 no such user");
    expect(html).toMatch(/1 email, .*to/);
    expect(await home("bob")).toContain("Send the first email");
  });

  test("a group is replayed at a pace, or dismissed; without its name nothing is", async () => {
    const ada = { ...(await bearerOf("ada")), Origin: consoleBase };
    const groups = async () => await (await page.get("/console/dead-letters", ada)).text();
    const html = await groups();
    expect(html).toContain("The recipient&#39;s address does not exist there.");
    const group = /name="group" value="([\w-]+)"/.exec(html)?.[1] ?? "";
    await page.post("/console/dead-letters/dismiss", { group: "" }, ada);
    expect(await groups()).toContain("1 email to example.com");
    const done = await page.post("/console/dead-letters/replay", { group, rate: "60" }, ada);
    expect(decodeURIComponent(done.headers.get("Set-Cookie") ?? "")).toContain(
      "1 email of 1 replayed: 60 go out a minute.",
    );
    expect(await groups()).toContain("Nothing needs you");
  });
});
