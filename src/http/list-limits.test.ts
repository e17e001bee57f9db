import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createJournal } from "../store/journal.ts";
import {
  mailBody,
  startTestApi,
  type TestAnswer,
  type TestApi,
} from "../testing/product/test-api.ts";
import { routesOf } from "./app.ts";
import type { AppDeps } from "./app-deps.ts";

setDefaultTimeout(120_000);

let api: TestApi;
/** What a path's `:id` stands for, by what comes before it. */
const ids: Record<string, string> = {};
beforeAll(async () => {
  api = await startTestApi();
  const emails = Array.from({ length: 25 }, () => mailBody());
  const body = { emails, mode: "strict" };
  const { json } = await api.request<{ results: { id: string }[] }>(
    "POST",
    "/api/v1/schedule-mail/batch",
    { body },
  );
  ids.emails = await changedOften();
  ids.webhooks = await webhook();
  expect(json).toMatchObject({ success: true });
  const journal = createJournal(api.database);
  while ((await journal.seal(100)).hasMore);
});
afterAll(() => api?.close());

async function changedOften(): Promise<string> {
  const id = await api.schedule();
  for (let n = 0; n < 24; n++) {
    const { status } = await api.request("PATCH", `/api/v1/emails/${id}`, {
      body: { subject: `Change ${n}` },
    });
    expect(status).toBe(200);
  }
  return id;
}

async function webhook(): Promise<string> {
  const body = { url: "https://example.com/hook" };
  const { json } = await api.request<{ id: string }>("POST", "/api/v1/webhooks", { body });
  return json.data.id;
}

type Listed = TestAnswer<unknown[]>;

/** As an admin, who may see every list. */
function get(path: string): Promise<Listed> {
  const filled = path.replace(/(\w+)\/:id/, (_, kind: string) => `${kind}/${ids[kind]}`);
  return api.request<unknown[]>("GET", filled, { role: "admin" });
}

// Nothing is called: the table alone is looked at.
const lists = routesOf({} as AppDeps).filter(
  ({ method, query }) => method === "GET" && query?.includes("limit"),
);

describe("every list", () => {
  test("is among these", () => {
    expect(lists.map(({ path }) => path)).toContain("/api/v1/emails/:id/events");
    expect(lists.length).toBeGreaterThanOrEqual(11);
  });

  test.each(lists.map(({ path }) => path))("%s has 20 to a page unless asked", async (path) => {
    const { status, json } = await get(path);
    expect(status).toBe(200);
    // Resend's answers do not say it.
    if (path.startsWith("/api/")) expect(json.page?.limit).toBe(20);
    expect(json.data.length).toBeLessThanOrEqual(20);
    expect((await get(`${path}?limit=101`)).status).toBe(422);
    expect((await get(`${path}?limit=0`)).status).toBe(422);
    expect((await get(`${path}?limit=100`)).status).toBe(200);
  });

  test.each(["/emails", "/api/v1/emails/:id/events", "/api/v1/events", "/api/v1/audit"])(
    "%s shows 20 of more",
    async (path) => {
      expect((await get(path)).json.data).toHaveLength(20);
      expect((await get(`${path}?limit=25`)).json.data).toHaveLength(25);
    },
  );
});

test("the rest of a timeline is behind its cursor", async () => {
  const first = await get("/api/v1/emails/:id/events");
  const rest = await get(`/api/v1/emails/:id/events?cursor=${first.json.page?.next_cursor}`);
  const sequences = [...first.json.data, ...rest.json.data].map(
    (event) => (event as { sequence: number }).sequence,
  );
  expect(sequences).toEqual(Array.from({ length: 25 }, (_, at) => at + 1));
});
