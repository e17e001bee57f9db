import { z } from "zod";
import { problems } from "../problem.ts";
import { attachmentsField } from "../request/attachment-schema.ts";
import { deadLetterFilterSchema } from "../request/bulk-fields.ts";
import { addressField } from "../request/field-schemas.ts";
import { type JsonSchema, jsonSchemaOf } from "../request/json-schema.ts";
import {
  acceptedEmail,
  attempt,
  batchEntry,
  dryRun,
  emailStatus,
  listedEmail,
  recipient,
  timelineEvent,
  wholeEmail,
} from "./answers/emails.ts";
import { page } from "./answers/fields.ts";
import {
  apiKey,
  auditEntry,
  check,
  checkpoint,
  deadLetterGroup,
  health,
  newApiKey,
  pause,
  queueStats,
  round,
  testResult,
  verdict,
} from "./answers/work.ts";
import type { Operation } from "./operation.ts";
import { deadLetterFilterWords } from "./operations/dead-letters.ts";
import { resendListedEmail, resendSent, resendWholeEmail } from "./operations/resend.ts";

/** Schemas of answers that have a name of their own in the document. */
const answers: Readonly<Record<string, z.ZodType>> = {
  AcceptedEmail: acceptedEmail,
  ApiKey: apiKey,
  Attempt: attempt,
  AuditEntry: auditEntry,
  BatchEntry: batchEntry,
  Check: check,
  Checkpoint: checkpoint,
  DeadLetterGroup: deadLetterGroup,
  DryRun: dryRun,
  EmailStatus: emailStatus,
  EmailWithContent: wholeEmail,
  Health: health,
  ListedEmail: listedEmail,
  NewApiKeyWithKey: newApiKey,
  Page: page,
  PauseOfSending: pause,
  QueueStats: queueStats,
  Recipient: recipient,
  ResendListedEmail: resendListedEmail,
  ResendSentEmail: resendSent,
  ResendWholeEmail: resendWholeEmail,
  ReconcilerRound: round,
  TestResult: testResult,
  TimelineEvent: timelineEvent,
  Verdict: verdict,
};

/** RFC 9457, with the fields of ours. */
const problem = z
  .object({
    success: z.literal(false).meta({ description: "Always false here." }),
    type: z.string().meta({ description: "Page about this code.", format: "uri-reference" }),
    title: z.string().meta({ description: "The code, for people." }),
    status: z.int().meta({ description: "The HTTP status." }),
    detail: z.string().meta({ description: "The fault, in words for people." }),
    instance: z.string().meta({ description: "The path that was asked for." }),
    code: z.enum(Object.keys(problems)).meta({ description: "For programs: it never changes." }),
    request_id: z.string().meta({ description: "Finds this request in the log." }),
    errors: z
      .array(
        z.object({
          pointer: z.string().meta({ description: "JSON pointer of the faulty place." }),
          detail: z
            .string()
            .meta({ description: "The value expected there, and the value that came." }),
        }),
      )
      .optional()
      .meta({ description: "Every faulty place of the request, the first hundred." }),
  })
  .meta({ description: "Why a request failed (RFC 9457)." });

/** Puts references where a schema with a name stands within another one. */
export interface NamedSchemas {
  refer(schema: JsonSchema): JsonSchema;
  components: Record<string, JsonSchema>;
}

export function nameSchemas(operations: readonly Operation[]): NamedSchemas {
  const named = new Map<string, JsonSchema>();
  const words = new Map<string, Readonly<Record<string, string>>>();
  named.set("Problem", jsonSchemaOf(problem, "output"));
  for (const [name, schema] of Object.entries(answers)) {
    named.set(name, jsonSchemaOf(schema, "output"));
  }
  for (const { body } of operations) {
    if (body === undefined) continue;
    named.set(body.name, jsonSchemaOf(body.schema, "input"));
    words.set(body.name, body.words);
  }
  named.set("Address", jsonSchemaOf(addressField, "input"));
  named.set("Attachment", itemsOf(jsonSchemaOf(attachmentsField, "input")));
  words.set("Attachment", attachmentWords);
  named.set("DeadLetterFilter", jsonSchemaOf(deadLetterFilterSchema, "input"));
  words.set("DeadLetterFilter", deadLetterFilterWords);

  const names = new Map([...named].map(([name, schema]) => [JSON.stringify(schema), name]));
  const refer = (node: JsonSchema) => withReferences(node, names) as JsonSchema;
  const components = Object.fromEntries(
    [...named]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, schema]) => {
        const parts = Object.entries(schema).map(([key, part]) => [
          key,
          withReferences(part, names),
        ]);
        return [name, withWords(Object.fromEntries(parts), words.get(name) ?? {})];
      }),
  );
  return { refer, components };
}

const attachmentWords = {
  filename: "1 to 255 characters, without slashes.",
  content: "The file in base64: standard alphabet, padded, on one line.",
  contentType: "Media type. Default: `application/octet-stream`.",
  content_type: "Another spelling of `contentType`; not both.",
  content_id: "For `cid:` links of the HTML; without angle brackets.",
};

function withReferences(node: unknown, names: ReadonlyMap<string, string>): unknown {
  if (Array.isArray(node)) return node.map((part) => withReferences(part, names));
  if (typeof node !== "object" || node === null) return node;
  const name = names.get(JSON.stringify(node));
  if (name !== undefined) return { $ref: `#/components/schemas/${name}` };
  const { description, ...bare } = node as JsonSchema;
  const described = description === undefined ? undefined : names.get(JSON.stringify(bare));
  if (described !== undefined) return { $ref: `#/components/schemas/${described}`, description };
  return Object.fromEntries(
    Object.entries(node).map(([key, part]) => [key, withReferences(part, names)]),
  );
}

function withWords(schema: JsonSchema, words: Readonly<Record<string, string>>): JsonSchema {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>);
  if (properties.length === 0) return schema;
  const described = properties.map(([name, part]) => {
    const description = words[name];
    return [name, description === undefined ? part : { ...part, description }];
  });
  return { ...schema, properties: Object.fromEntries(described) };
}

function itemsOf(schema: JsonSchema): JsonSchema {
  const [list] = (schema.anyOf ?? []) as JsonSchema[];
  return (list?.items ?? {}) as JsonSchema;
}
