import { afterAll, beforeAll, expect, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../../../testing/product/test-api.ts";
import {
  bearerOf,
  consoleBase,
  createTestConsole,
  pagesOf,
} from "../../../testing/product/test-console.ts";

const ada = await bearerOf("ada");
const bob = await bearerOf("bob");
const admin = await bearerOf("ops", "admin");
const own = { Origin: consoleBase };

let api: TestApi;
let page: ReturnType<typeof createTestConsole>;
beforeAll(async () => {
  api = await startTestApi();
  page = createTestConsole(pagesOf(api));
});
afterAll(() => api?.close());

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

async function html(path: string, as = ada): Promise<string> {
  const response = await page.get(path, as);
  expect([path, response.status]).toEqual([path, 200]);
  return await response.text();
}

/** Presses a button of ours. */
function press(path: string, fields: Record<string, string | string[]> = {}, as = ada) {
  return page.post(path, fields, { ...as, ...own });
}

async function statusOf(id: string): Promise<unknown> {
  return (await api.request("GET", `/api/v1/status/${id}`)).json.data.status;
}

const bulk = "/console/emails/bulk";
const wordsOf = (response: Response) =>
  decodeURIComponent(response.headers.get("Set-Cookie") ?? "");
const dueOf = async (id: string) =>
  (await api.request("GET", `/api/v1/status/${id}`)).json.data.scheduled_at;
const schedule = (tag: string, at = "2031-07-01T09:00:00Z") =>
  api.schedule({ tags: [tag], scheduled_at: at });

/** Presses Undo on the page that the answer leads to. */
async function undo(done: Response, as = ada): Promise<Response> {
  const [, flash = ""] = /(tfm_flash=[^;]+)/.exec(done.headers.get("Set-Cookie") ?? "") ?? [];
  const headers = { ...as, Cookie: flash };
  const shown = await (await page.get("/console/emails", headers)).text();
  const form = /action="\/console\/emails\/undo">(.*?)<\/form>/s.exec(shown)?.[1] ?? "";
  const fields = [...form.matchAll(/name="(\w+)" value="([^"]*)"/g)];
  return await press(
    "/console/emails/undo",
    Object.fromEntries(fields.map(([, name, value]) => [name, value])),
    as,
  );
}

test("a selection is asked for, then cancelled; what had ended is told apart", async () => {
  const ids = [await api.schedule({ scheduled_at: inAnHour() }), await api.schedule()];
  await api.deliver(ids[1] ?? "");
  const asked = await (await press(bulk, { action: "cancel", id: ids })).text();
  expect(asked).toContain("Cancel 1 email?");
  expect(asked).toContain("Of the 2 selected, 1 has been sent, or ended before.");
  expect(await statusOf(ids[0] ?? "")).toBe("pending");
  const done = await press(bulk, { action: "cancel", id: ids, confirmed: "true" });
  expect(wordsOf(done)).toContain("1 email cancelled; 1 email had been sent");
  expect(await statusOf(ids[0] ?? "")).toBe("cancelled");
  expect(wordsOf(done)).not.toContain("undo");
});

test("a whole filter is counted, then cancelled", async () => {
  const ids = [await schedule("campaign"), await schedule("campaign")];
  const other = await schedule("other");
  const form = { action: "cancel-all", q: "tag:campaign" };
  expect(await html("/console/emails?q=tag:campaign")).toContain('value="cancel-all"');
  const asked = await (await press(bulk, form)).text();
  expect(asked).toContain("Cancel 2 emails?");
  await press(bulk, { ...form, confirmed: "true" });
  for (const id of ids) expect(await statusOf(id)).toBe("cancelled");
  expect(await statusOf(other)).toBe("pending");
});

test("where there is nothing to do it says so, and offers nothing", async () => {
  const id = await schedule("gone-by");
  await press(`/console/emails/${id}/cancel`);
  const asked = await (await press(bulk, { action: "hold-all", q: "tag:gone-by" })).text();
  expect(asked).toContain("Nothing to hold");
  expect(asked).not.toContain('type="submit">Hold');
});

test("a filter that is none, or a state by itself, cancels nothing", async () => {
  const id = await api.schedule({ scheduled_at: inAnHour() });
  for (const q of ["", "status:failed", "status:pending", "to:nobody", "nonsense tag:x"]) {
    await press(bulk, { action: "cancel-all", q, confirmed: "true" });
  }
  expect(await statusOf(id)).toBe("pending");
  expect(await html("/console/emails?q=status:pending")).toContain('value="hold-all"');
  expect(await html("/console/emails?q=status:pending")).not.toContain('value="cancel-all"');
});

test("an address is a filter as well, and reaches nobody else's emails", async () => {
  const recipients = ["only@example.com"];
  const id = await api.schedule({ recipients, scheduled_at: inAnHour() });
  const others = await api.schedule({ recipients, scheduled_at: inAnHour() }, { as: "bob" });
  const form = { action: "hold-all", q: "to:only@example.com" };
  expect(await (await press(bulk, form)).text()).toContain("Hold 1 email?");
  await press(bulk, { ...form, confirmed: "true" });
  expect(await statusOf(id)).toBe("held");
  const { status } = (await api.request("GET", `/api/v1/status/${others}`, { as: "bob" })).json
    .data;
  expect(status).toBe("pending");
  expect(await (await press(bulk, form, admin)).text()).toContain("whoever owns them");
});

test("a hold is taken back, but not of what somebody has touched since", async () => {
  const ids = [await schedule("freeze"), await schedule("freeze"), await schedule("freeze")];
  const form = { action: "hold-all", q: "tag:freeze", confirmed: "true" };
  const held = await press(bulk, form);
  expect(wordsOf(held)).toContain("3 emails held.");
  for (const id of ids) expect(await statusOf(id)).toBe("held");
  // Released, and held again by a person who means it.
  await press(`/console/emails/${ids[0]}/release`);
  await press(`/console/emails/${ids[0]}/hold`);
  const undone = await undo(held);
  expect(wordsOf(undone)).toContain("Undone: 2 emails released again.");
  expect(undone.headers.get("Location")).toBe("/console/emails?q=tag%3Afreeze");
  expect(await Promise.all(ids.map(statusOf))).toEqual(["held", "pending", "pending"]);
  expect(wordsOf(await undo(held))).toContain("Nothing was left to undo");
});

test("a release of all that is held is taken back for those that have not gone out", async () => {
  const ids = [await schedule("thaw"), await schedule("thaw")];
  for (const id of ids) await press(`/console/emails/${id}/hold`);
  const form = { action: "release-all", q: "status:held tag:thaw" };
  expect(await (await press(bulk, form)).text()).toContain("Release 2 emails?");
  const released = await press(bulk, { ...form, confirmed: "true" });
  expect(await Promise.all(ids.map(statusOf))).toEqual(["pending", "pending"]);
  expect(wordsOf(await undo(released))).toContain("Undone: 2 emails held again.");
  expect(await Promise.all(ids.map(statusOf))).toEqual(["held", "held"]);
});

test("a selection is moved by a length of time, and back", async () => {
  const ids = [await schedule("moved"), await schedule("moved", "2031-07-02T09:00:00Z")];
  const form = { action: "reschedule", id: ids };
  const asked = await (await press(bulk, form)).text();
  expect(asked).toContain("Reschedule 2 emails?");
  expect(asked).toContain('name="amount"');
  const by = { how: "by", amount: "90", unit: "minutes", direction: "later" };
  const moved = await press(bulk, { ...form, ...by, confirmed: "true" });
  expect(wordsOf(moved)).toContain("2 emails rescheduled.");
  expect(await Promise.all(ids.map(dueOf))).toEqual([
    "2031-07-01T10:30:00.000Z",
    "2031-07-02T10:30:00.000Z",
  ]);
  expect(wordsOf(await undo(moved))).toContain("Undone: 2 emails due as before.");
  expect(await Promise.all(ids.map(dueOf))).toEqual([
    "2031-07-01T09:00:00.000Z",
    "2031-07-02T09:00:00.000Z",
  ]);
});

test("a whole filter is moved to one moment in a zone, for good", async () => {
  const ids = [await schedule("launch"), await schedule("launch")];
  const form = { action: "reschedule-all", q: "tag:launch", confirmed: "true", how: "to" };
  const moved = await press(bulk, { ...form, at: "2031-08-01T09:00", zone: "Europe/Berlin" });
  expect(wordsOf(moved)).toContain("2 emails rescheduled.");
  expect(wordsOf(moved)).not.toContain("undo");
  for (const id of ids) expect(await dueOf(id)).toBe("2031-08-01T07:00:00.000Z");
});

test("a time that is none is said beside what was typed, and nothing is moved", async () => {
  const id = await schedule("still");
  const form = { action: "reschedule-all", q: "tag:still", confirmed: "true" };
  const refusals = [
    [{ how: "to", at: "2020-01-01T00:00", zone: "UTC" }, "Expected a time to come"],
    [{ how: "to", at: "2031-01-01T00:00", zone: "Mars/Base" }, "Mars/Base”."],
    [{ how: "by", amount: "soon", unit: "hours" }, "got “soon”."],
    [{ how: "by", amount: "1", unit: "ages" }, "Expected a number of minutes"],
    [{ how: "by", amount: "90000", unit: "days" }, "got “90000”."],
  ] as const;
  for (const [time, words] of refusals) {
    const refused = await press(bulk, { ...form, ...time });
    expect([words, refused.status]).toEqual([words, 422]);
    expect(await refused.text()).toContain(words);
  }
  const typed = await press(bulk, { ...form, how: "to", at: "2020-01-01T00:00", zone: "UTC" });
  expect(await typed.text()).toContain('value="2020-01-01T00:00"');
  expect(await dueOf(id)).toBe("2031-07-01T09:00:00.000Z");
});

test("an undo that is made up, late, or another's does nothing", async () => {
  const id = await schedule("mine");
  const held = await press(bulk, { action: "hold", id, confirmed: "true" });
  for (const fields of [
    { change: "cancel", bulk: Bun.randomUUIDv7(), seconds: "0", text: "" },
    { change: "release", bulk: "x", seconds: "0", text: "" },
  ] as Record<string, string>[]) {
    const refused = await press("/console/emails/undo", fields);
    expect(refused.headers.get("Set-Cookie")).toBeNull();
  }
  const old = Bun.randomUUIDv7("hex", Date.now() - 2 * 3_600_000);
  const late = { change: "release", bulk: old, seconds: "0", text: "" };
  expect(wordsOf(await press("/console/emails/undo", late))).toContain("too late to undo");
  expect(wordsOf(await undo(held, bob))).toContain("Nothing was left to undo");
  expect(await statusOf(id)).toBe("held");
});

test("dead letters among a selection are replayed", async () => {
  const ids = [await api.schedule({ max_retries: 0 }), await api.schedule()];
  await api.deliver(ids[0] ?? "", noUserReply);
  const asked = await (await press(bulk, { action: "replay", id: ids })).text();
  expect(asked).toContain("Of the 2 selected, 1 is no dead letter.");
  await press(bulk, { action: "replay", id: ids, confirmed: "true" });
  expect(await statusOf(ids[0] ?? "")).toBe("pending");
});

test("dead letters of a whole filter are replayed", async () => {
  const id = await api.schedule({ max_retries: 0, tags: ["again"] });
  await api.deliver(id, noUserReply);
  const form = { action: "replay-all", q: "status:failed tag:again" };
  expect(await (await press(bulk, form)).text()).toContain("Replay 1 email?");
  await press(bulk, { ...form, confirmed: "true" });
  expect(await statusOf(id)).toBe("pending");
});
