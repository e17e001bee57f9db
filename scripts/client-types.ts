import openapiTypescript, { astToString } from "openapi-typescript";
import { routesOf } from "../src/http/app.ts";
import type { AppDeps } from "../src/http/app-deps.ts";
import { describeApi, type OpenApiDocument } from "../src/http/openapi/document.ts";
import { operations } from "../src/http/openapi/operations.ts";

const folder = `${import.meta.dirname}/../src/client`;
const note =
  "// Generated from the OpenAPI document by scripts/client-types.ts --write; not by hand.\n";

/** What the typed client is made of: types of every operation, and where each is. */
export async function clientFiles(): Promise<Record<string, string>> {
  // Nothing is called: the table alone is looked at.
  const document = describeApi(routesOf({} as AppDeps), operations, "0.0.0");
  const types = astToString(await openapiTypescript(withoutBallast(document) as never));
  return {
    "api-types.ts": note + types.replace(/^export interface paths \{\n[\s\S]*?^\}\n/m, ""),
    "endpoints.ts": note + endpointsOf(document),
  };
}

/** Keeps the types of successes only: failures are one class. */
function withoutBallast({ paths, components, ...document }: OpenApiDocument): object {
  const slim = ([path, item]: [string, OpenApiDocument["paths"][string]]) => [
    path,
    Object.fromEntries(Object.entries(item).map(([method, one]) => [method, slimmed(one)])),
  ];
  const { schemas } = components;
  return {
    ...document,
    paths: Object.fromEntries(Object.entries(paths).map(slim)),
    components: { schemas },
  };
}

function slimmed({ responses, ...operation }: OpenApiDocument["paths"][string][string]): object {
  const successes = Object.entries(
    responses as Record<string, { description: string; content: object }>,
  )
    .filter(([status]) => status.startsWith("2"))
    .map(([status, { description, content }]) => [
      status,
      { description, content: Object.fromEntries(Object.entries(content).map(withoutExample)) },
    ]);
  return { ...operation, responses: Object.fromEntries(successes) };
}

function withoutExample([type, { schema }]: [string, { schema: object }]) {
  return [type, { schema }];
}

/** `true`: the operation honours Idempotency-Key, so that a repetition doubles nothing. */
function endpointsOf({ paths }: OpenApiDocument): string {
  const lines = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { operationId, parameters = [] }]) => {
      const names = (parameters as { name: string }[]).map(({ name }) => name);
      const isKeyed = names.includes("Idempotency-Key");
      return `  ${operationId}: ["${method.toUpperCase()}", "${path}", ${isKeyed}],`;
    }),
  );
  return [
    "/** Method and path of each operation, and whether it honours `Idempotency-Key`. */",
    "export const endpoints = {",
    ...lines,
    "} as const;",
    "",
  ].join("\n");
}

if (import.meta.main) {
  if (!process.argv.includes("--write")) throw new Error("usage: scripts/client-types.ts --write");
  for (const [name, text] of Object.entries(await clientFiles())) {
    await Bun.write(`${folder}/${name}`, text);
  }
}
