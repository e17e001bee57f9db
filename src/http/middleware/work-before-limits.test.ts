import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { z } from "zod";
import { characterClasses, longTexts, textPlaces } from "../../testing/fixtures/long-texts.ts";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { type Route, routesOf } from "../app.ts";

setDefaultTimeout(120_000);

/** The square of the first takes a second, of the last minutes, even of the cheapest step. */
const sizes = [20_000, 200_000];
/** Of addresses and headers: more than the 16 kB that Bun lets through. */
const lineSize = 20_000;
/** Of work that grows with the length alone, on a machine that does something else as well. */
const withinMs = (size: number) => (size < 50_000 ? 500 : 1_000);

let api: TestApi;
let routes: Route[] = [];
beforeAll(async () => {
  api = await startTestApi();
  routes = routesOf(api.deps);
});
afterAll(() => api?.close());

async function expectSoon(what: string, size: number, run: () => unknown): Promise<void> {
  let isSoon = false;
  // What grows with the square is slow each time, and a machine that does something else is not.
  for (let tries = 0; tries < 3 && !isSoon; tries++) {
    const startedAt = performance.now();
    await run();
    isSoon = performance.now() - startedAt < withinMs(size);
  }
  expect([what, size, isSoon]).toEqual([what, size, true]);
}

const classes = Object.entries(characterClasses);

describe.each(classes)("much of %s", (_, unit) => {
  test("in any place of any body is judged before it is worked on", async () => {
    let places = 0;
    for (const size of sizes) {
      for (const [name, part, value] of placesOf(size)) {
        places += 1;
        await expectSoon(name, size, () => part.safeParse(value));
      }
    }
    // A list of places that came out empty would prove nothing.
    expect(places).toBeGreaterThan(500);
  });

  function* placesOf(size: number): Generator<[name: string, part: z.ZodType, value: unknown]> {
    for (const schema of new Set(routes.flatMap(({ body }) => body ?? []))) {
      const fields = (schema instanceof z.ZodArray ? schema.element : schema) as z.ZodObject;
      const { properties = {} } = z.toJSONSchema(fields, { io: "input" });
      for (const [name, part] of Object.entries(fields.shape as Record<string, z.ZodType>)) {
        for (const text of longTexts(unit, size)) {
          for (const value of textPlaces(properties[name] as object, text)) {
            yield [name, part, value];
          }
        }
      }
    }
  }

  test("in every parameter of a query at once is judged before it is worked on", async () => {
    for (const { method, path, query = [] } of routes.filter(({ query: known }) => known?.length)) {
      for (const text of longTexts(unit, lineSize)) {
        const search = new URLSearchParams(
          query.map((name) => [name.replace("*", "a"), text.toWellFormed()]),
        );
        const asked = `${path.replaceAll(/:\w+/g, crypto.randomUUID())}?${search}`;
        const as = { as: "root", role: "admin" } as const;
        await expectSoon(path, lineSize, () => api.request(method, asked, as));
      }
    }
  });

  test("in any header anybody reads is judged before it is worked on", async () => {
    for (const name of headersRead()) {
      for (const text of longTexts(unit, lineSize)) {
        const value = `Bearer ${text}`.replace(/[^\t\x20-\x7e\xa0-\xff]/g, "?").trim();
        const headers = { [name]: value };
        const path = "/api/v1/schedule-mail";
        await expectSoon(name, lineSize, () => api.request("POST", path, { headers, body: {} }));
        await expectSoon(name, lineSize, () => api.request("GET", "/metrics", { headers }));
      }
    }
  });
});

/** By the program's own text, so that a header that is read tomorrow is tested as well. */
function headersRead(): string[] {
  const folders = ["http", "admin", "server", "cli"].map(
    (room) => `${import.meta.dirname}/../../${room}`,
  );
  const sources = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => /(?<!\.test)\.tsx?$/.test(file))
      .map((file) => readFileSync(`${folder}/${file}`, "utf8")),
  );
  const names = sources.flatMap((text) => [...text.matchAll(/\bheader\("([\w-]+)"\)/g)]);
  return [...new Set(names.map(([, name = ""]) => name.toLowerCase()))];
}
