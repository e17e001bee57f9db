import { expect, test } from "bun:test";
import { mailBody, startTestApi } from "../testing/product/test-api.ts";

test("a request over the quota is answered 429 with which, how much and when, and stores nothing", async () => {
  const api = await startTestApi({}, { quota: { perDay: 3, pending: 2 } });
  try {
    const later = "2040-01-01T00:00:00Z";
    const post = (emails: number, as = "ada") =>
      api.request("POST", "/api/v1/schedule-mail/batch", {
        body: { emails: Array.from({ length: emails }, () => mailBody({ scheduled_at: later })) },
        as,
      });
    expect((await post(2)).status).toBe(201);
    const full = await post(1);
    expect(full.status).toBe(429);
    expect(full.json).toMatchObject({
      code: "quota_exceeded",
      detail: expect.stringMatching(
        /At most 2 .*pending.*there are 2, .*has 1.*Nothing was stored/,
      ),
    });
    expect(full.headers.get("retry-after")).toBe("60");
    const whole = await post(4, "bob");
    expect(whole.json).toMatchObject({ detail: expect.stringMatching(/At most 3 emails a day/) });
    expect(Number(whole.headers.get("retry-after"))).toBeLessThanOrEqual(86_400);
    const listed = await api.request("GET", "/api/v1/scheduled-emails", { as: "bob" });
    expect(listed.text).toContain(`"data":[]`);
  } finally {
    await api.close();
  }
}, 60_000);
