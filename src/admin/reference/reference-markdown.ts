import type { Field, ReferenceGroup, ReferenceOperation } from "./reference-model.ts";
import { curlOf, typescriptOf } from "./request-samples.ts";

/** One group of the reference as Markdown, for readers that are programs. */
export function groupMarkdown({ name, description, operations }: ReferenceGroup): string {
  return [`# ${name}`, description, ...operations.map(operationMarkdown)].join("\n\n").concat("\n");
}

function operationMarkdown(operation: ReferenceOperation): string {
  const { summary, method, path, description, parameters, body, answers, failures } = operation;
  const parts = [`## ${summary}`, `\`${method} ${path}\``, description];
  if (parameters.length > 0) {
    const lines = parameters.map((one) => line(one, `${one.place}, ${one.type}`));
    parts.push("### Parameters", lines.join("\n"));
  }
  if (body !== null && body.fields.length > 0) {
    const optional = body.isRequired ? "" : " (may be left out)";
    parts.push(`### Body${optional}`, lines(body.fields));
  }
  parts.push("### Request", fenced("sh", curlOf(operation)), fenced("ts", typescriptOf(operation)));
  for (const { status, description: words, type, fields, example } of answers) {
    parts.push(`### Answer ${status}`, words);
    if (fields.length > 0) parts.push(lines(fields));
    const text = typeof example === "string" ? example : JSON.stringify(example, null, 2);
    parts.push(fenced(type.endsWith("json") ? "json" : "", text));
  }
  const codes = failures.map(
    ({ status, code, title }) => `- ${status} [\`${code}\`](/docs/problems/${code}.md): ${title}`,
  );
  if (codes.length > 0) parts.push("### Failures", codes.join("\n"));
  return parts.join("\n\n");
}

function lines(fields: readonly Field[], indent = ""): string {
  return fields
    .map((field) => {
      const below = field.fields.length === 0 ? "" : `\n${lines(field.fields, `${indent}  `)}`;
      return `${indent}${line(field, field.type)}${below}`;
    })
    .join("\n");
}

function line({ name, isRequired, description }: Field, type: string): string {
  return `- \`${name}\` (${type}${isRequired ? ", required" : ""}): ${description}`;
}

function fenced(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}
