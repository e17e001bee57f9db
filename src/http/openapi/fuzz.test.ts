import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import {
  createDocumentedApi,
  type DocumentedOperation,
} from "../../testing/fixtures/documented-api.ts";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { routesOf } from "../app.ts";
import { describeApi } from "./document.ts";
import { operations } from "./operations.ts";

setDefaultTimeout(300_000);

/** FUZZ_RUNS=2000 for a night, FUZZ_SEED to see the same again; a failure prints its seed. */
const numRuns = Number(process.env.FUZZ_RUNS ?? 25);
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

type Json = Record<string, unknown>;
const document = describeApi(routesOf({} as TestApi["deps"]), operations, "");
const documented = createDocumentedApi(document);
let api: TestApi;
/** Ids that exist, so that a path is not always unknown. */
const ids: string[] = [];

beforeAll(async () => {
  // A transport that is at fault is told at once: nobody delivers here.
  const components = { transport: { status: "degraded", detail: "nobody is there" } };
  api = await startTestApi({
    health: async () => ({ status: "degraded", accepting: true, components }),
  });
  for (let n = 0; n < 4; n++) ids.push(await api.schedule({ tags: ["fuzz"] }));
  await api.request("POST", `/api/v1/emails/${ids[0]}/hold`);
  await api.deliver(ids[1] ?? "");
});
afterAll(() => api?.close());

/** Values that fit a schema mostly, and now and then anything. */
function likely(given: Json): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 9, arbitrary: fitting(given) }, { weight: 1, arbitrary: odd });
}

const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.constantFrom(
    null,
    "",
    "\u0000",
    "null",
    -1,
    1e308,
    [],
    {},
    "2030-01-04T09:00:00",
    "9".repeat(400),
  ),
);

function fitting(given: Json): fc.Arbitrary<unknown> {
  const schema = documented.resolve(given);
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum);
  if ("const" in schema) return fc.constant(schema.const);
  if (Array.isArray(schema.anyOf)) return fc.oneof(...(schema.anyOf as Json[]).map(likely));
  switch ([schema.type].flat()[0]) {
    case "string":
      return textOf(schema);
    case "integer":
    case "number": {
      const { minimum = 0, maximum = 1_000 } = schema as { minimum?: number; maximum?: number };
      return fc.oneof(fc.integer({ min: Math.ceil(minimum), max: maximum }), fc.double());
    }
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "array":
      return fc.array(likely((schema.items ?? {}) as Json), { maxLength: 3 });
    case "object":
      return objectOf(schema);
    default:
      return odd;
  }
}

function textOf({ format, pattern, maxLength = 60 }: Json): fc.Arbitrary<unknown> {
  if (format === "uuid") return fc.oneof(fc.constantFrom(...ids), fc.uuid());
  if (format === "date-time") {
    const date = fc.date({ min: new Date("2020-01-01"), noInvalidDate: true });
    return date.map((at) => at.toISOString());
  }
  if (typeof pattern === "string") return fc.stringMatching(new RegExp(pattern));
  const addresses = fc.constantFrom("ada@example.com", "Ada <ada@example.com>", "aGk=");
  return fc.oneof(
    addresses,
    fc.string({ unit: "grapheme", maxLength: Math.min(60, Number(maxLength)) }),
  );
}

function objectOf({ properties = {}, required = [] }: Json): fc.Arbitrary<unknown> {
  const parts = Object.entries(properties as Record<string, Json>).map(([name, part]) => [
    name,
    likely(part),
  ]);
  const fields = fc.record(Object.fromEntries(parts), { requiredKeys: required as never[] });
  const more = fc.dictionary(fc.string({ maxLength: 10 }), odd, { maxKeys: 1 });
  return fc.oneof(
    { weight: 9, arbitrary: fields },
    { weight: 1, arbitrary: fc.tuple(fields, more).map(([a, b]) => ({ ...a, ...b })) },
  );
}

interface Asked {
  target: string;
  headers: Record<string, string>;
  body?: string;
}

function requestOf({ path, json }: DocumentedOperation): fc.Arbitrary<Asked> {
  const parameters = (json.parameters ?? []) as { name: string; in: string; schema: Json }[];
  const place = (where: string) => parameters.filter((one) => one.in === where);
  const inPath = fc.record(
    Object.fromEntries(
      place("path").map(({ name, schema }) => [name, likely(schema).map(pathText)]),
    ),
  );
  const inQuery = fc.record(
    Object.fromEntries(place("query").map(({ name, schema }) => [name, likely(schema)])),
    { requiredKeys: [] },
  );
  const inHeaders = fc.record(
    Object.fromEntries(
      place("header").map(({ name }) => [name, fc.stringMatching(/^[\x21-\x7e]{1,30}$/)]),
    ),
    { requiredKeys: [] },
  );
  const content = (json.requestBody as Json | undefined)?.content as Json | undefined;
  const media = content?.["application/json"] as { schema: Json } | undefined;
  const body = media === undefined ? fc.constant(undefined) : bodyOf(media.schema);
  return fc.tuple(inPath, inQuery, inHeaders, body).map(([at, query, headers, text]) => ({
    target: path.replace(/\{(\w+)\}/g, (_, name: string) => at[name] ?? "x") + queryText(query),
    headers: headers as Record<string, string>,
    ...(text === undefined ? {} : { body: text }),
  }));
}

function bodyOf(schema: Json): fc.Arbitrary<string> {
  const json = likely(schema).map((value) => JSON.stringify(value) ?? "null");
  return fc.oneof(
    { weight: 19, arbitrary: json },
    { weight: 1, arbitrary: fc.constantFrom("", "{", "[1,", '{"a":1}x', "\ufeff{}") },
  );
}

/** A segment of its own: an empty one would be another path. */
function pathText(value: unknown): string {
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const safe = encodeURIComponent(text.toWellFormed());
  return safe === "" || safe === "." || safe === ".." ? "x" : safe;
}

function queryText(query: Record<string, unknown>): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    typeof value === "object" && value !== null
      ? Object.entries(value).map(([key, one]) => [key, String(one)] as [string, string])
      : [[name, String(value)] as [string, string]],
  );
  return pairs.length === 0
    ? ""
    : `?${new URLSearchParams(pairs.map(([a, b]) => [a.toWellFormed(), b.toWellFormed()]))}`;
}

test.each(documented.operations.map((one) => [one.id, one] as const))(
  "%s answers whatever it is asked with a status, a code and a body of the document, and no 500",
  async (_, operation) => {
    // A valid one waits for its end.
    const runs = operation.id === "sendTestEmail" ? Math.min(numRuns, 10) : numRuns;
    await fc.assert(
      fc.asyncProperty(requestOf(operation), async ({ target, ...asked }) => {
        const answer = await api.request(operation.method, target, { role: "admin", ...asked });
        expect(answer.status).not.toBe(500);
        expect([answer.text.slice(0, 300), documented.faultsOf(operation, answer)]).toEqual([
          answer.text.slice(0, 300),
          [],
        ]);
      }),
      { numRuns: runs, seed, endOnFailure: true },
    );
  },
);

test("a credential that is none, or may not, is refused as documented", async () => {
  const key = { body: { name: "reads", scopes: ["read"] } };
  const made = await api.request<{ key: string }>("POST", "/api/v1/api-keys", key);
  const shown = { authorization: `Bearer ${made.json.data.key}` };
  for (const operation of documented.operations) {
    const target = operation.path.replace(/\{\w+\}/g, ids[2] ?? "x");
    for (const headers of [{ authorization: "Bearer nobody" }, shown]) {
      const answer = await api.request(operation.method, target, { headers });
      expect([operation.id, documented.faultsOf(operation, answer)]).toEqual([operation.id, []]);
    }
  }
});
