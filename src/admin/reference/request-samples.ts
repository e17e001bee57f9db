import type { ReferenceOperation } from "./reference-model.ts";

/** Requests as a reader would write them; `$` names stand for what only the reader knows. */

const base = "https://mail.example.com";

/** For a POSIX shell. */
export function curlOf(operation: ReferenceOperation): string {
  const { method, needsCredential } = operation;
  const body = bodyOf(operation);
  const parts = [
    `curl ${method === "GET" ? "" : `-X ${method} `}${quoted(`${base}${targetOf(operation)}`)}`,
    ...(needsCredential ? ['-H "Authorization: Bearer $TASKFORCE_MAILER_TOKEN"'] : []),
    ...headersOf(operation).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(body === undefined
      ? []
      : ['-H "Content-Type: application/json"', `-d ${quoted(JSON.stringify(body, null, 2))}`]),
  ];
  return parts.join(" \\\n  ");
}

/** For the typed client. */
export function typescriptOf(operation: ReferenceOperation): string {
  const { id, parameters, answers } = operation;
  const fields: string[] = [];
  for (const place of ["path", "query"] as const) {
    const given = parameters.filter((one) => one.place === place && isShown(operation, one));
    if (given.length === 0) continue;
    const values = Object.fromEntries(given.map(({ name, example }) => [name, example]));
    fields.push(`${place}: ${literal(values, 1)}`);
  }
  for (const [name, value] of headersOf(operation))
    fields.push(`${optionOf(name)}: ${literal(value, 1)}`);
  const body = bodyOf(operation);
  if (body !== undefined) fields.push(`body: ${literal(body, 1)}`);
  const isJson = answers[0]?.type === "application/json";
  const isPlain = !Object.hasOwn(Object(answers[0]?.example), "data");
  const result = isJson && !isPlain ? "const { data } = " : "const answer = ";
  const asked = fields.length === 0 ? "" : `{\n${fields.map((one) => `  ${one},\n`).join("")}}`;
  return [
    'import { createClient } from "taskforce-mailer-client";',
    "",
    `const mailer = createClient({ url: ${JSON.stringify(base)}, token });`,
    `${result}await mailer.${id}(${asked});`,
  ].join("\n");
}

/** What a first request needs: the whole path, of a list the size of its page. */
function isShown(
  { parameters }: ReferenceOperation,
  { place, name, isRequired }: ReferenceOperation["parameters"][number],
): boolean {
  if (place === "path") return true;
  const [first] = parameters.filter((one) => one.place === "query" && one.name !== "dry_run");
  return isRequired || name === "status" || (name === "limit" && first?.name === "limit");
}

function targetOf(operation: ReferenceOperation): string {
  const { path, parameters } = operation;
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const found = parameters.find((one) => one.place === "path" && one.name === name);
    return encodeURIComponent(String(found?.example ?? name));
  });
  const query = parameters
    .filter((one) => one.place === "query" && isShown(operation, one))
    .map(({ name, example }) => `${name}=${encodeURIComponent(String(example))}`);
  return query.length === 0 ? filled : `${filled}?${query.join("&")}`;
}

function headersOf({ parameters }: ReferenceOperation): [name: string, value: string][] {
  return parameters
    .filter(({ place }) => place === "header")
    .map(({ name, example }) => [name, String(example)]);
}

/** As the typed client calls a header. */
function optionOf(header: string): string {
  return header.toLowerCase().replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function bodyOf({ body }: ReferenceOperation): unknown {
  return body?.examples[0]?.value;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** JSON as people write it in TypeScript: names bare where they may be. */
function literal(value: unknown, depth: number): string {
  const json = JSON.stringify(value, null, 2) ?? "undefined";
  const bare = json.replace(/^(\s*)"([A-Za-z_]\w*)":/gm, "$1$2:");
  return bare.replaceAll("\n", `\n${"  ".repeat(depth)}`);
}
