import type { z } from "zod";
import type { Right } from "../../auth/principal.ts";
import { type JsonSchema, jsonSchemaOf } from "../request/json-schema.ts";
import { errorsOf } from "./errors-of.ts";
import { createFailures, problemExamples } from "./failures.ts";
import { type Answer, groups, type Operation, type Parameter } from "./operation.ts";
import {
  pathParameters,
  queryParameters,
  requestHeaders,
  responseHeaders,
  scopeWords,
} from "./parameters.ts";
import { resendFailures } from "./resend-failures.ts";
import { type NamedSchemas, nameSchemas } from "./schemas.ts";

/** What the document takes from the route table. */
export interface DescribedRoute {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  query?: readonly string[];
  body?: z.ZodType;
  auth: "none" | "metrics" | "bearer";
  needs?: Right;
  isOfReplica?: boolean;
}

export interface OpenApiDocument {
  openapi: string;
  info: Record<string, unknown>;
  paths: Record<string, Record<string, JsonSchema>>;
  components: Record<string, Record<string, JsonSchema>>;
  [field: string]: unknown;
}

/** OpenAPI 3.1 of these routes. Throws when one of them has no description, or a parameter none. */
export function describeApi(
  routes: readonly DescribedRoute[],
  operations: readonly Operation[],
  version: string,
): OpenApiDocument {
  const schemas = nameSchemas(operations);
  const failures = createFailures();
  const paths: OpenApiDocument["paths"] = {};
  for (const route of routes) {
    const operation = operations.find(
      ({ method, path }) => method === route.method && path === route.path,
    );
    if (operation === undefined) throw new Error(`no operation for ${route.method} ${route.path}`);
    const path = openPath(route.path);
    const failed =
      operation.dialect === "resend"
        ? resendFailures()
        : failures.describe(errorsOf(route, operation));
    const described = describeOperation(route, operation, failed, schemas);
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: described };
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "Taskforce Mailer",
      version,
      summary: "Hand over an email now; it goes out at its time, once.",
      description:
        "JSON in UTF-8, times in RFC 3339. Unknown fields and query parameters are refused. A " +
        "failure is a problem (RFC 9457) whose `code` never changes.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/", description: "The server that this document comes from." }],
    tags: Object.entries(groups).map(([name, description]) => ({ name, description })),
    security: [{ bearer: [] }],
    paths,
    components: {
      schemas: schemas.components,
      responses: failures.responses,
      examples: problemExamples(failures.codes),
      headers: responseHeaders,
      securitySchemes,
    },
  };
}

const securitySchemes = {
  bearer: {
    type: "http",
    scheme: "bearer",
    description:
      "A JWT or an API key (`tfm_…`). Of a key the scopes count: " +
      `${Object.entries(scopeWords)
        .map(([name, words]) => `\`${name}\`: ${words}`)
        .join("; ")}.`,
  },
  metricsToken: {
    type: "http",
    scheme: "bearer",
    description: "`METRICS_TOKEN` of the server, which opens nothing else.",
  },
};

function openPath(path: string): string {
  return path.replace(/:(\w+)/g, "{$1}");
}

function describeOperation(
  route: DescribedRoute,
  operation: Operation,
  failed: Record<string, JsonSchema>,
  schemas: NamedSchemas,
): JsonSchema {
  const { id, group, summary, description, body } = operation;
  const parameters = parametersOf(route, operation);
  return {
    operationId: id,
    tags: [group],
    summary,
    description: `${description}${needsWords(route)}`,
    security: securityOf(route),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: !body.isOptional,
            content: {
              "application/json": {
                schema: { $ref: `#/components/schemas/${body.name}` },
                examples: body.examples,
              },
            },
          },
        }),
    // A 503 may be no failure of the request: what the operation says itself comes first.
    responses: { ...failed, ...successes(route, operation.answers, schemas) },
  };
}

function needsWords({ auth, needs }: DescribedRoute): string {
  if (auth === "metrics") return "";
  if (auth === "none") return "\n\nNo credential is needed.";
  if (needs === "any") return "\n\nAn API key needs no particular scope.";
  if (needs === "admin") return "\n\nFor admins.";
  if (needs === "keys") return "\n\nNeeds a token, or an API key with the scope `admin`.";
  if (needs === "send_and_read") {
    return "\n\nAn API key needs the scopes `send` and `read`.";
  }
  return `\n\nAn API key needs the scope \`${needs}\`.`;
}

function securityOf({ auth, needs }: DescribedRoute): JsonSchema[] {
  if (auth === "none") return [];
  if (auth === "metrics") return [{ bearer: ["admin"] }, { metricsToken: [] }];
  if (needs === "any") return [{ bearer: [] }];
  if (needs === "send_and_read") return [{ bearer: ["send", "read"] }];
  return [{ bearer: [needs === "keys" ? "admin" : (needs ?? "read")] }];
}

function parametersOf(route: DescribedRoute, operation: Operation): JsonSchema[] {
  const own = operation.parameters ?? {};
  const find = (name: string, shared: Readonly<Record<string, Parameter>>): Parameter => {
    const found = own[name] ?? shared[name];
    if (found !== undefined) return found;
    throw new Error(`no description of parameter ${name} of ${route.method} ${route.path}`);
  };
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    ...find(name, pathParameters),
  }));
  const inQuery = (route.query ?? []).map((name) => ({
    // An object that is exploded has a parameter for each of its names.
    ...(name.endsWith(".*") ? { name: name.slice(0, -2), style: "form", explode: true } : { name }),
    in: "query",
    required: false,
    ...find(name, queryParameters),
  }));
  const inHeader = (operation.headers ?? []).map((name) => ({
    name,
    in: "header",
    required: false,
    ...find(name, requestHeaders),
  }));
  // OpenAPI forbids a parameter of this name; the media types of the answer say the same.
  return [...inPath, ...inQuery, ...inHeader].filter(({ name }) => name !== "Accept");
}

function successes(
  route: DescribedRoute,
  answers: readonly Answer[],
  schemas: NamedSchemas,
): Record<string, JsonSchema> {
  const limits = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];
  const isLimited = route.auth === "bearer" && route.needs !== "admin";
  return Object.fromEntries(
    answers.map(({ status, description, body, headers = [] }) => [
      String(status),
      {
        description,
        headers: headersOf([
          "X-Request-Id",
          ...headers,
          ...(route.isOfReplica ? ["Read-From"] : []),
          ...(isLimited ? limits : []),
        ]),
        content:
          "type" in body
            ? { [body.type]: { schema: { type: "string" }, example: body.example } }
            : {
                "application/json": {
                  schema: schemas.refer(jsonSchemaOf(body.schema, "output")),
                  example: body.example,
                },
              },
      },
    ]),
  );
}

function headersOf(names: readonly string[]): JsonSchema {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}
