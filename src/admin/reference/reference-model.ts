/** A JSON object of the OpenAPI document. */
export type Json = { readonly [key: string]: unknown };

/** What the reference is made of: an OpenAPI 3.1 document of ours. */
export interface ApiDocument {
  readonly tags?: unknown;
  readonly paths: { readonly [path: string]: { readonly [method: string]: Json } };
  readonly components: { readonly [kind: string]: { readonly [name: string]: Json } };
}

export interface ReferenceGroup {
  name: string;
  /** Last part of its address. */
  slug: string;
  description: string;
  operations: ReferenceOperation[];
}

export interface ReferenceOperation {
  /** `operationId`: id of its section, and the client's function. */
  id: string;
  method: string;
  /** With `{id}`. */
  path: string;
  summary: string;
  /** Markdown. */
  description: string;
  needsCredential: boolean;
  parameters: (Field & { place: "path" | "query" | "header"; example: unknown })[];
  body: { isRequired: boolean; fields: Field[]; examples: NamedExample[] } | null;
  answers: ReferenceAnswer[];
  failures: { status: string; code: string; title: string }[];
}

export interface NamedExample {
  summary: string;
  value: unknown;
}

export interface ReferenceAnswer {
  status: string;
  description: string;
  type: string;
  fields: Field[];
  example: unknown;
}

export interface Field {
  name: string;
  /** Id of its element, for links. */
  id: string;
  /** In words, such as `integer 0–20 or null`. */
  type: string;
  isRequired: boolean;
  description: string;
  fields: Field[];
}

const methods = ["get", "post", "patch", "put", "delete"];

/** The document as the reference shows it: by group, references resolved, types in words. */
export function readReference(document: ApiDocument): ReferenceGroup[] {
  const tags = (document.tags ?? []) as { name: string; description: string }[];
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    methods.flatMap((method) => {
      const json = item[method];
      return json === undefined ? [] : [{ path, method: method.toUpperCase(), json }];
    }),
  );
  return tags.map(({ name, description }) => ({
    name,
    slug: slugOf(name),
    description,
    operations: operations
      .filter(({ json }) => (json.tags as string[] | undefined)?.includes(name))
      .map((operation) => readOperation(document, operation)),
  }));
}

export function slugOf(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

function readOperation(
  document: ApiDocument,
  { path, method, json }: { path: string; method: string; json: Json },
): ReferenceOperation {
  const id = String(json.operationId);
  const responses = Object.entries((json.responses ?? {}) as Record<string, Json>);
  const resolved = responses.map(([status, one]) => [status, resolve(document, one)] as const);
  return {
    id,
    method,
    path,
    summary: String(json.summary),
    description: String(json.description ?? ""),
    needsCredential: (json.security as unknown[] | undefined)?.length !== 0,
    parameters: ((json.parameters ?? []) as Json[]).map((one) => readParameter(document, id, one)),
    body: readBody(document, id, json.requestBody as Json | undefined),
    answers: resolved
      .flatMap(([status, one]) => readAnswer(document, id, status, one))
      .toSorted((a, b) => rank(a.status) - rank(b.status)),
    failures: resolved.flatMap(([status, one]) => readFailures(document, status, one)),
  };
}

function readParameter(document: ApiDocument, id: string, json: Json) {
  const name = String(json.name);
  const schema = resolve(document, json.schema as Json);
  const isOpen = "patternProperties" in schema;
  return {
    name: isOpen ? `${name}.<key>` : name,
    id: `${id}.${name}`,
    type: isOpen ? "text" : typeOf(document, schema),
    isRequired: json.required === true,
    description: String(json.description ?? ""),
    fields: [],
    place: json.in as "path" | "query" | "header",
    example: json.example,
  };
}

function readBody(document: ApiDocument, id: string, json: Json | undefined) {
  if (json === undefined) return null;
  const media = (json.content as Record<string, Json>)["application/json"] ?? {};
  const examples = Object.values((media.examples ?? {}) as Record<string, NamedExample>);
  return {
    isRequired: json.required === true,
    fields: fieldsOf(document, media.schema as Json, id),
    examples: examples.map(({ summary, value }) => ({ summary, value })),
  };
}

/** 201 comes before 200, failures come last; JSON alone sorts by number. */
function rank(status: string): number {
  return status.startsWith("2") ? 299 - Number(status) : Number(status);
}

const problemType = "application/problem+json";

function readAnswer(
  document: ApiDocument,
  id: string,
  status: string,
  json: Json,
): ReferenceAnswer[] {
  const content = Object.entries((json.content ?? {}) as Record<string, Json>);
  return content
    .filter(([type]) => type !== problemType)
    .map(([type, media]) => ({
      status,
      description: String(json.description),
      type,
      fields: fieldsOf(document, media.schema as Json, `${id}.${status}`),
      example: media.example,
    }));
}

function readFailures(document: ApiDocument, status: string, json: Json) {
  const media = (json.content as Record<string, Json> | undefined)?.[problemType];
  return Object.entries((media?.examples ?? {}) as Record<string, Json>).map(([code, example]) => ({
    status,
    code,
    title: String(resolve(document, example).summary),
  }));
}

/** A schema that stands for a value of this kind or null counts as that of the value. */
function bare(document: ApiDocument, given: Json): Json {
  const schema = resolve(document, given);
  const kinds = ((schema.anyOf ?? []) as Json[]).filter(({ type }) => type !== "null");
  const [only] = kinds;
  return kinds.length === 1 && only !== undefined ? bare(document, only) : schema;
}

/** An address is one thing, though its schema is that of two. */
const leaves: ReadonlySet<string> = new Set(["Address"]);

function fieldsOf(document: ApiDocument, given: Json, id: string, depth = 0): Field[] {
  if (depth > 4 || leaves.has(nameOf(given))) return [];
  const schema = bare(document, given);
  if (schema.type === "array") {
    return fieldsOf(document, (schema.items ?? {}) as Json, id, depth);
  }
  const either = (schema.anyOf ?? []) as Json[];
  if (either.length > 1)
    return mergedFields(either.map((one) => fieldsOf(document, one, id, depth)));
  const required = (schema.required ?? []) as string[];
  return Object.entries((schema.properties ?? {}) as Record<string, Json>).map(([name, part]) => ({
    name,
    id: `${id}.${name}`,
    type: typeOf(document, part),
    isRequired: required.includes(name),
    description: String(part.description ?? bare(document, part).description ?? ""),
    fields: fieldsOf(document, part, `${id}.${name}`, depth + 1),
  }));
}

function mergedFields(lists: Field[][]): Field[] {
  const byName = new Map<string, Field>();
  for (const field of lists.flat()) if (!byName.has(field.name)) byName.set(field.name, field);
  const isEverywhere = (name: string) =>
    lists.every((list) => list.some((one) => one.name === name));
  return [...byName.values()].map((field) => ({
    ...field,
    isRequired: field.isRequired && isEverywhere(field.name),
  }));
}

/** In words for people: kind, bounds, null. */
function typeOf(document: ApiDocument, given: Json): string {
  if (leaves.has(nameOf(given))) return "address";
  const schema = resolve(document, given);
  const either = (schema.anyOf ?? []) as Json[];
  if (either.length > 0)
    return [...new Set(either.map((one) => typeOf(document, one)))].join(" or ");
  if (Array.isArray(schema.enum)) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  const types = [schema.type ?? "any"].flat() as string[];
  return types.map((type) => kindOf(document, type, schema)).join(" or ");
}

function kindOf(document: ApiDocument, type: string, schema: Json): string {
  const { format, items, minimum, maximum } = schema;
  if (type === "array") {
    const most = schema.maxItems === undefined ? "" : ` (at most ${schema.maxItems})`;
    const kind = typeOf(document, (items ?? {}) as Json);
    return `list of ${kind.includes(" | ") ? `(${kind})` : kind}${most}`;
  }
  if (type === "string") {
    if (format === "date-time") return "time";
    if (format === "uuid") return "id";
    return schema.contentEncoding === "base64" ? "base64" : "text";
  }
  if (type === "integer" || type === "number") {
    const isBounded = minimum !== undefined && maximum !== undefined;
    const isLimited = isBounded && Number(maximum) < Number.MAX_SAFE_INTEGER;
    return isLimited ? `${type} ${minimum}–${maximum}` : type;
  }
  return type;
}

function nameOf({ $ref }: Json): string {
  return typeof $ref === "string" ? ($ref.split("/").at(-1) ?? "") : "";
}

function resolve(document: ApiDocument, json: Json): Json {
  if (typeof json.$ref !== "string") return json;
  const [, , kind = "", name = ""] = json.$ref.split("/");
  const found = document.components[kind]?.[name] ?? {};
  const { description } = json;
  return description === undefined ? found : { ...found, description };
}
