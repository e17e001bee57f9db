import { expect, test } from "bun:test";
import { Hono } from "hono";
import liveScript from "../../public/live.js" with { type: "text" };
import type { Principal } from "../auth/principal.ts";
import { mountLive } from "./live.ts";

const ada: Principal = { ownerId: "ada", isAdmin: false, credential: "session" };

/** The stream's address as the API is asked for it, for whoever is signed in. */
function liveOf(visitors: (Principal | null | "refused")[]) {
  const asked: { request: Request; ownerId: string; isStillIn: () => Promise<boolean> }[] = [];
  const app = new Hono();
  mountLive(app, {
    visitors: { recognise: async () => visitors.shift() ?? null },
    call: async (request, { ownerId }, _, { isStillIn }) => {
      asked.push({ request, ownerId, isStillIn });
      return new Response("stream");
    },
  });
  return { app, asked };
}

test("the API's stream is answered to whoever is signed in, from where it broke off", async () => {
  const { app, asked } = liveOf([ada]);
  const answer = await app.request("/live", { headers: { "Last-Event-ID": "7" } });
  expect(await answer.text()).toBe("stream");
  const [{ request, ownerId } = { request: new Request("http://x"), ownerId: "" }] = asked;
  const { pathname, searchParams } = new URL(request.url);
  expect([pathname, ownerId]).toEqual(["/api/v1/events", "ada"]);
  expect(request.headers.get("accept")).toBe("text/event-stream");
  expect(request.headers.get("last-event-id")).toBe("7");
  expect(request.headers.get("cookie")).toBeNull();
  // The page listens to each by its name.
  const types = searchParams.get("type")?.split(",") ?? [];
  expect([...liveScript.matchAll(/"(email\.\w+)"/g)].map(([, type]) => type)).toEqual(types);
});

test("of one email when it is named; what is no id is not put into an address", async () => {
  const id = Bun.randomUUIDv7();
  const { app, asked } = liveOf([ada, ada]);
  await app.request(`/live?email=${id}`);
  await app.request("/live?email=..%2Faudit");
  expect(asked.map(({ request }) => new URL(request.url).pathname)).toEqual([
    `/api/v1/emails/${id}/events`,
    "/api/v1/events",
  ]);
});

test("401 to anybody else, without the API being asked", async () => {
  const { app, asked } = liveOf([null, "refused"]);
  expect((await app.request("/live")).status).toBe(401);
  expect((await app.request("/live")).status).toBe(401);
  expect(asked).toEqual([]);
});

test("it goes on as long as the same visitor is signed in and sees as much", async () => {
  const others = [{ ...ada, ownerId: "bob" }, { ...ada, isAdmin: true }, null];
  const { app, asked } = liveOf([ada, ada, ...others]);
  await app.request("/live");
  const look = async () => await asked[0]?.isStillIn();
  const looks = [await look(), await look(), await look(), await look()];
  expect(looks).toEqual([true, false, false, false]);
});
