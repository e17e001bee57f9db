import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mailBody, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const html = "<p>Dear <b>Ada</b></p>";
const read = async (id: string) => (await api.request("GET", `/api/v1/emails/${id}`)).json.data;
const schedule = (fields: object) =>
  api.schedule({ scheduled_at: "2035-01-01T00:00:00Z", body: null, ...fields });

describe('text: "auto"', () => {
  test("makes the text part of the HTML", async () => {
    const id = await schedule({ html_body: html, text: "auto" });
    expect(await read(id)).toMatchObject({ body: "Dear Ada", html_body: html });
    const raw = await api.request("GET", `/api/v1/emails/${id}/raw`);
    expect(raw.text).toContain("Dear Ada");
  });

  test("in an edit it is made of the HTML that comes with it, or that is there", async () => {
    const id = await schedule({ html_body: html });
    const patch = (body: object) => api.request("PATCH", `/api/v1/emails/${id}`, { body });
    expect((await patch({ text: "auto" })).status).toBe(200);
    expect(await read(id)).toMatchObject({ body: "Dear Ada" });
    expect((await patch({ text: "auto", html_body: "<p>Dear Bob</p>" })).status).toBe(200);
    expect(await read(id)).toMatchObject({ body: "Dear Bob", html_body: "<p>Dear Bob</p>" });
  });

  test("HTML without any words makes none", async () => {
    const id = await schedule({ html_body: '<img src="cid:a">', text: "auto" });
    expect(await read(id)).toMatchObject({ body: null });
  });

  test.each<[object, string]>([
    [{ html_body: html, text: "Hello" }, "/text"],
    [{ html_body: html, text: null }, "/text"],
    [{ html_body: html, text: "auto", body: "mine" }, "/text"],
    [{ text: "auto", body: null, attachments: [{ filename: "a", content: "aGk=" }] }, "/text"],
    [{ html_body: "x".repeat(262_145), text: "auto" }, "/text"],
  ])("422 for %#", async (fields, pointer) => {
    const body = { ...mailBody({ body: null }), ...fields };
    const answer = await api.request("POST", "/api/v1/schedule-mail", { body });
    expect(answer).toMatchObject({ status: 422, json: { errors: [{ pointer }] } });
  });
});
