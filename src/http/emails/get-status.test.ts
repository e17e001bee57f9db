import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

const transport = { isDown: true };
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ isTransportDown: async () => transport.isDown });
});
afterAll(() => api?.close());

const status = async (id: string) => (await api.request("GET", `/api/v1/status/${id}`)).json.data;

test("a pending email past its time says that it waits for the transport, while that is down", async () => {
  const due = await api.schedule();
  expect(await status(due)).toMatchObject({ status: "pending", waiting_for: "transport" });
  transport.isDown = false;
  expect(await status(due)).not.toHaveProperty("waiting_for");
  transport.isDown = true;
  await api.deliver(due);
  expect(await status(due)).not.toHaveProperty("waiting_for");
});

test("one that is due later waits for nothing but its time", async () => {
  const later = await api.schedule({ scheduled_at: "2035-01-01T00:00:00Z" });
  expect(await status(later)).not.toHaveProperty("waiting_for");
});
