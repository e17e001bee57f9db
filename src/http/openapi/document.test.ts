import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { createDocumentedApi } from "../../testing/fixtures/documented-api.ts";
import { routesOf } from "../app.ts";
import type { AppDeps } from "../app-deps.ts";
import { problems } from "../problem.ts";
import { describeApi, type OpenApiDocument } from "./document.ts";
import { operations } from "./operations.ts";

setDefaultTimeout(60_000);

// Nothing is called: the table alone is looked at.
const routes = routesOf({} as AppDeps);
const document = describeApi(routes, operations, "0.0.0");
const api = createDocumentedApi(document);
type Json = Record<string, unknown>;

/** Every schema of the document that has properties, with where it stands. */
function objectsOf(node: unknown, at = "#"): { at: string; properties: Record<string, Json> }[] {
  if (typeof node !== "object" || node === null) return [];
  const below = Object.entries(node).flatMap(([key, part]) => objectsOf(part, `${at}/${key}`));
  const { properties } = node as { properties?: Record<string, Json> };
  return properties === undefined || at.endsWith("/example")
    ? below
    : [{ at, properties }, ...below];
}

describe("the route table and the document", () => {
  test("are the same", () => {
    const named = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;
    expect(routes.map(named).toSorted()).toEqual(operations.map(named).toSorted());
    expect(api.operations.map(named).toSorted()).toEqual(
      routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`).toSorted(),
    );
  });

  test("a route without a description is refused by its name", () => {
    const [first, ...rest] = operations;
    expect(() => describeApi(routes, rest, "")).toThrow(`${first?.method} ${first?.path}`);
  });

  test("have the same bodies: what is documented is what validates", () => {
    for (const { method, path, body } of operations) {
      const route = routes.find((one) => one.method === method && one.path === path);
      expect([path, route?.body === body?.schema]).toEqual([path, true]);
    }
  });

  test("the query parameters are those that the route knows", () => {
    for (const { method, path, query } of routes) {
      const found = api.operations.find(
        (one) => one.method === method && one.path === path.replace(/:(\w+)/g, "{$1}"),
      );
      const names = ((found?.json.parameters ?? []) as Json[])
        .filter((parameter) => parameter.in === "query")
        .map(({ name }) => String(name));
      expect(names).toEqual((query ?? []).map((name) => name.replace(".*", "")));
    }
  });
});

describe("the document", () => {
  test("is sound OpenAPI 3.1 by the strictest rules of Redocly's linter", async () => {
    expect(await lint(document)).toEqual([]);
    const { paths } = document;
    const broken = { ...document, paths: { ...paths, "/health": { get: { responses: {} } } } };
    expect(await lint(broken)).not.toEqual([]);
  });

  test("says of every field what it means", () => {
    const silent = objectsOf(document.components.schemas).flatMap(({ at, properties }) =>
      Object.entries(properties)
        .filter(([, part]) => part.description === undefined && part.$ref === undefined)
        .map(([name]) => `${at}/${name}`),
    );
    // An address says it of itself.
    expect(silent.filter((at) => !at.startsWith("#/Address/"))).toEqual([]);
  });

  test("has an example of every request, answer and parameter, and each is valid", () => {
    for (const { path, method, json } of api.operations) {
      const at = ["paths", path, method.toLowerCase()];
      for (const [index, parameter] of ((json.parameters ?? []) as Json[]).entries()) {
        const pointer = [...at, "parameters", String(index), "schema"];
        expect([path, parameter.name, api.faultsAt(pointer, parameter.example)]).toEqual([
          path,
          parameter.name,
          [],
        ]);
      }
      const content = (json.requestBody as Json | undefined)?.content as Json | undefined;
      const media = content?.["application/json"] as Json | undefined;
      const pointer = [...at, "requestBody", "content", "application/json", "schema"];
      for (const [name, { value }] of Object.entries((media?.examples ?? {}) as Json) as [
        string,
        Json,
      ][]) {
        expect([path, name, api.faultsAt(pointer, value)]).toEqual([path, name, []]);
      }
      if (media !== undefined) expect(Object.keys(media.examples as Json)).not.toEqual([]);
      for (const [status, given] of Object.entries(json.responses as Record<string, Json>)) {
        const response = api.resolve(given);
        for (const [type, one] of Object.entries(response.content as Record<string, Json>)) {
          const root =
            typeof given.$ref === "string"
              ? given.$ref.slice(2).split("/")
              : [...at, "responses", status];
          const values = one.examples
            ? Object.values(one.examples as Record<string, Json>).map((x) => api.resolve(x).value)
            : [one.example];
          expect(values).not.toEqual([]);
          for (const value of values) {
            const faults = api.faultsAt([...root, "content", type, "schema"], value);
            expect([path, status, faults]).toEqual([path, status, []]);
          }
        }
      }
    }
  });

  test("names every error code but those that stand on no path", () => {
    const named = Object.keys(document.components.examples ?? {});
    // Of another method than the path takes.
    expect(Object.keys(problems).filter((code) => !named.includes(code))).toEqual([
      "method_not_allowed",
    ]);
  });
});

async function lint(given: OpenApiDocument): Promise<string[]> {
  const config = await createConfig({ extends: ["recommended-strict"] });
  const absoluteRef = "/openapi.json";
  const found = await lintFromString({ source: JSON.stringify(given), absoluteRef, config });
  return found.map(({ ruleId, message }) => `${ruleId}: ${message}`);
}
