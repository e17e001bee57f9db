import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mailBody, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const later = "2035-01-01T00:00:00Z";
const v1 = "/api/v1";

/** An email due in years: whatever a request with null in it does to it, it must not send it. */
const scheduled = () => api.schedule({ scheduled_at: later, tags: ["null"] });
const read = async (id: string) => (await api.request("GET", `${v1}/status/${id}`)).json.data;

/** Where a null would send now, widen what is meant, or lift a bound. */
const refusals: [what: string, path: string, body: object, pointer: string][] = [
  ["a new email's time", "schedule-mail", mailBody({ scheduled_at: null }), "/scheduled_at"],
  [
    "a time in a batch",
    "schedule-mail/batch",
    { emails: [mailBody(), mailBody({ scheduled_at: null })] },
    "/emails/1/scheduled_at",
  ],
  ["individual", "schedule-mail", mailBody({ individual: null }), "/individual"],
  ["the time of a release", "emails/:id/release", { scheduled_at: null }, "/scheduled_at"],
  ["the time of an edit", "PATCH emails/:id", { scheduled_at: null }, "/scheduled_at"],
  [
    "the time of a replay in bulk",
    "dead-letters/replay",
    { filter: { all: true }, scheduled_at: null },
    "/scheduled_at",
  ],
  [
    "the pace of a replay in bulk",
    "dead-letters/replay",
    { filter: { all: true }, rate_per_minute: null },
    "/rate_per_minute",
  ],
  ...["dry_run", "scheduled_before", "scheduled_after", "metadata"].map(
    (name): (typeof refusals)[number] => [
      `${name} of a cancel in bulk`,
      "cancel",
      { tag: "null", [name]: null },
      `/${name}`,
    ],
  ),
  ["the tag of a cancel in bulk", "cancel", { scheduled_after: later, tag: null }, "/tag"],
  ...["status", "group", "smtp_code", "domain", "ids", "tag", "metadata", "all"].map(
    (name): (typeof refusals)[number] => [
      `${name} of a replay in bulk`,
      "dead-letters/replay",
      { filter: { scheduled_after: later, [name]: null } },
      `/filter/${name}`,
    ],
  ),
  [
    "the end of an API key",
    "api-keys",
    { name: "a", scopes: ["read"], expires_at: null },
    "/expires_at",
  ],
];

describe("422 for null in", () => {
  test.each(refusals)("%s, which changes nothing", async (_, target, body, pointer) => {
    const id = await scheduled();
    const told = api.delivery.told.length;
    const [method = "POST", path = ""] = target.includes(" ")
      ? target.split(" ")
      : ["POST", target];
    const answer = await api.request(method, `${v1}/${path.replace(":id", id)}`, { body });
    expect(answer).toMatchObject({ status: 422, json: { errors: [{ pointer }] } });
    expect(answer.json.errors?.[0]?.detail).toContain("null: leave the field out");
    expect(api.delivery.told).toHaveLength(told);
    expect(await read(id)).toMatchObject({ status: "pending", version: 1 });
  });

  test("scheduled_at of a replay, and the refusal names the route that sends now", async () => {
    const id = await api.schedule({ max_retries: 0 });
    await api.deliver(id, { code: 550, enhanced: "5.1.1", text: "No such user" });
    const body = { scheduled_at: null };
    const answer = await api.request("POST", `${v1}/dead-letters/${id}/replay`, { body });
    expect(answer).toMatchObject({ status: 422, json: { errors: [{ pointer: "/scheduled_at" }] } });
    expect(answer.json.errors?.[0]?.detail).toContain("POST /api/v1/emails/{id}/send-now");
    expect(await read(id)).toMatchObject({ status: "failed" });
  });
});

describe("POST /emails/{id}/send-now", () => {
  const sendNow = (id: string, headers: Record<string, string> = {}, as = "ada") =>
    api.request("POST", `${v1}/emails/${id}/send-now`, { headers, as });
  const lastEntry = async (id: string) =>
    (await api.request<Record<string, unknown>[]>("GET", `${v1}/emails/${id}/events`)).json.data.at(
      -1,
    );

  test("makes a pending email due now; the journal has its new time", async () => {
    const id = await scheduled();
    const answer = await sendNow(id);
    expect(answer).toMatchObject({
      status: 200,
      json: { data: { status: "pending", version: 2 } },
    });
    expect(Date.parse(String(answer.json.data.scheduled_at))).toBeLessThanOrEqual(
      Date.now() + 5_000,
    );
    expect(api.delivery.told.at(-1)).toEqual({ delayMs: 0 });
    expect(await lastEntry(id)).toMatchObject({
      action: "email.rescheduled",
      actor: "ada",
      detail: { fields: ["scheduled_at"] },
    });
    await api.deliver(id);
    expect(await read(id)).toMatchObject({ status: "sent" });
  });

  test("releases a held email, due now", async () => {
    const id = await scheduled();
    await api.request("POST", `${v1}/emails/${id}/hold`);
    expect(await sendNow(id)).toMatchObject({ status: 200, json: { data: { status: "pending" } } });
    expect(api.delivery.told.at(-1)).toEqual({ delayMs: 0 });
    expect(await lastEntry(id)).toMatchObject({ action: "email.released" });
  });

  test("of another version is 412, of a sent one 409, of somebody else's 404", async () => {
    const id = await scheduled();
    expect((await sendNow(id, { "if-match": '"7"' })).status).toBe(412);
    expect((await sendNow(id, {}, "eve")).status).toBe(404);
    expect(await read(id)).toMatchObject({ version: 1 });
    await sendNow(id);
    await api.deliver(id);
    expect(await sendNow(id)).toMatchObject({ status: 409, json: { code: "already_sent" } });
  });
});
