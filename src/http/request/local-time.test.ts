import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mailBody, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const post = (fields: object) =>
  api.request("POST", "/api/v1/schedule-mail", { body: mailBody(fields as never) });
const zone = { timezone: "Europe/Berlin" };

describe("local_time", () => {
  test.each<[object, string, string, string]>([
    [{ local_time: "2035-07-01T09:00" }, "2035-07-01T07:00:00.000Z", "+02:00", "exact"],
    [{ local_time: "2035-01-01T09:00:30" }, "2035-01-01T08:00:30.000Z", "+01:00", "exact"],
    [{ local_time: "2035-03-25T02:30" }, "2035-03-25T01:30:00.000Z", "+02:00", "gap"],
    [
      { local_time: "2035-03-25T02:30", dst: { gap: "earlier" } },
      "2035-03-25T00:30:00.000Z",
      "+01:00",
      "gap",
    ],
    [{ local_time: "2035-10-28T02:30" }, "2035-10-28T00:30:00.000Z", "+02:00", "overlap"],
    [
      { local_time: "2035-10-28T02:30", dst: { overlap: "second" } },
      "2035-10-28T01:30:00.000Z",
      "+01:00",
      "overlap",
    ],
  ])("%j is %s", async (fields, scheduled_at, utc_offset, resolution) => {
    const { status, json } = await post({ ...zone, ...fields });
    const { local_time } = fields as { local_time: string };
    const echoed = { scheduled_at, local_time, ...zone, utc_offset, resolution };
    expect([status, json.data]).toEqual([201, expect.objectContaining(echoed)]);
    const { json: read } = await api.request("GET", `/api/v1/status/${json.data.id}`);
    expect(read.data).toMatchObject(echoed);
    const dry = await api.request("POST", "/api/v1/schedule-mail?dry_run=true", {
      body: mailBody({ ...zone, ...fields }),
    });
    expect(dry.json.data).toMatchObject(echoed);
  });

  test("an edit sets it; one that names an instant ends it", async () => {
    const id = await api.schedule({ ...zone, local_time: "2035-07-01T09:00" });
    const patch = (body: object) => api.request("PATCH", `/api/v1/emails/${id}`, { body });
    const lisbon = { local_time: "2035-07-02T09:00", timezone: "Europe/Lisbon" };
    expect((await patch(lisbon)).json.data).toMatchObject({
      ...lisbon,
      scheduled_at: "2035-07-02T08:00:00.000Z",
      next_attempt_at: "2035-07-02T08:00:00.000Z",
    });
    const { data } = (await patch({ scheduled_at: "2035-07-03T09:00:00Z" })).json;
    expect(data).not.toHaveProperty("local_time");
    expect(data).not.toHaveProperty("timezone");
  });

  test("without it nothing of it is answered", async () => {
    const { json } = await post({ scheduled_at: "2035-07-01T09:00:00Z" });
    expect(Object.keys(json.data).sort()).toEqual(
      ["created_at", "id", "scheduled_at", "status", "version"].sort(),
    );
  });
});

describe("422 for", () => {
  const local_time = "2035-07-01T09:00";
  test.each<[object, string]>([
    [{ local_time }, "/timezone"],
    [zone, "/timezone"],
    [{ dst: { gap: "later" } }, "/dst"],
    [{ ...zone, local_time, scheduled_at: "2035-07-01T09:00:00Z" }, "/local_time"],
    [{ ...zone, local_time: "2035-07-01" }, "/local_time"],
    [{ ...zone, local_time: "2035-07-01T09:00Z" }, "/local_time"],
    [{ ...zone, local_time: "2035-07-01T09:00+02:00" }, "/local_time"],
    [{ ...zone, local_time: "2035-02-30T09:00" }, "/local_time"],
    [{ ...zone, local_time: "2035-07-01T24:00" }, "/local_time"],
    [{ ...zone, local_time: "2020-07-01T09:00" }, "/local_time"],
    [{ ...zone, local_time: null }, "/local_time"],
    [{ local_time, timezone: "Europe/Atlantis" }, "/timezone"],
    [{ local_time, timezone: "+02:00" }, "/timezone"],
    [{ local_time, timezone: null }, "/timezone"],
    [{ ...zone, local_time: "2035-03-25T02:30", dst: { gap: "reject" } }, "/local_time"],
    [{ ...zone, local_time: "2035-10-28T02:30", dst: { overlap: "reject" } }, "/local_time"],
    [{ ...zone, local_time, dst: { gap: "first" } }, "/dst/gap"],
    [{ ...zone, local_time, dst: { fold: 1 } }, "/dst/fold"],
    [{ ...zone, local_time, dst: "later" }, "/dst"],
  ])("%j", async (fields, pointer) => {
    expect(await post(fields)).toMatchObject({ status: 422, json: { errors: [{ pointer }] } });
  });
});
