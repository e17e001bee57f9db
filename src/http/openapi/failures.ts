import type { ErrorCode } from "../../errors.ts";
import { problems, problemType } from "../problem.ts";
import { problemGuides } from "../problem-guides.ts";
import type { JsonSchema } from "../request/json-schema.ts";

/** Collects the failures of all operations: those that fail alike share one response. */
export interface Failures {
  /** One reference for each status that these codes have. */
  describe(errors: readonly ErrorCode[]): Record<string, JsonSchema>;
  /** What the references point to, by name. */
  responses: Record<string, JsonSchema>;
  codes: Set<ErrorCode>;
}

export function createFailures(): Failures {
  const responses: Record<string, JsonSchema> = {};
  const names = new Map<string, string>();
  const codes = new Set<ErrorCode>();

  function nameOf(status: number, alike: readonly ErrorCode[]): string {
    const key = alike.join();
    const known = names.get(key);
    if (known !== undefined) return known;
    const earlier = Object.keys(responses).filter((name) => name.startsWith(`Problem${status}`));
    const name = `Problem${status}${earlier.length === 0 ? "" : `_${earlier.length + 1}`}`;
    names.set(key, name);
    responses[name] = failure(status, alike);
    return name;
  }

  return {
    describe(errors) {
      for (const code of errors) codes.add(code);
      const byStatus = Map.groupBy(errors, (code) => problems[code].status);
      const entries = [...byStatus].map(([status, alike]) => {
        const $ref = `#/components/responses/${nameOf(status, alike.toSorted())}`;
        return [String(status), { $ref }];
      });
      return Object.fromEntries(entries);
    },
    responses,
    codes,
  };
}

/** Its schema names the codes that come with the status. */
function failure(status: number, codes: readonly ErrorCode[]): JsonSchema {
  const headers = ["X-Request-Id", ...headersOfStatus(status)];
  return {
    description: codes.map((code) => `${problems[code].title} (\`${code}\`).`).join(" "),
    headers: Object.fromEntries(
      headers.map((name) => [name, { $ref: `#/components/headers/${name}` }]),
    ),
    content: {
      "application/problem+json": {
        schema: {
          allOf: [
            { $ref: "#/components/schemas/Problem" },
            { properties: { code: { enum: codes } }, required: ["code"] },
          ],
        },
        examples: Object.fromEntries(
          codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]),
        ),
      },
    },
  };
}

function headersOfStatus(status: number): string[] {
  if (status === 401) return ["WWW-Authenticate"];
  return status === 429 || status === 503 ? ["Retry-After"] : [];
}

export function problemExamples(codes: ReadonlySet<ErrorCode>): Record<string, JsonSchema> {
  return Object.fromEntries([...codes].sort().map((code) => [code, problemExample(code)]));
}

/** A problem of this code, as it may come. */
export function problemExample(code: ErrorCode): { summary: string; value: object } {
  const { status, title } = problems[code];
  return {
    summary: title,
    value: {
      success: false,
      type: problemType(code),
      title,
      status,
      detail: problemGuides[code].detail,
      instance: "/api/v1/schedule-mail",
      code,
      request_id: "01977c3e-8c22-7b11-a2d3-0e4f5a6b7c8d",
      ...(code === "invalid_content" || code === "invalid_query"
        ? { errors: [faultExamples[code]] }
        : {}),
    },
  };
}

const faultExamples = {
  invalid_content: {
    pointer: "/schedule_at",
    detail: 'expected no such field, got "schedule_at"',
  },
  invalid_query: { pointer: "/limit", detail: 'expected a whole number from 1 to 100, got "101"' },
};
