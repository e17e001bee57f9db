import { apiKeySchema } from "../../credentials/create-api-key.ts";
import { dataOf, lastPage, listOf } from "../answers/fields.ts";
import {
  apiKey,
  apiKeyExample,
  auditEntry,
  auditExample,
  checkpoint,
  newApiKey,
  verdict,
} from "../answers/work.ts";
import { bodyOf, type Operation, type Parameter } from "../operation.ts";
import { keyId } from "../parameters.ts";

const v1 = "/api/v1";

const cursor: Parameter = {
  description: "`page.next_cursor` of the answer before: the next page.",
  schema: { type: "string", pattern: "^[1-9]\\d{0,15}$" },
  example: "1042",
};

const checkpointExample = {
  type: "taskforce-mailer/checkpoint/v1",
  at: "2030-01-04T08:00:00.412345Z",
  owner_id: "ada",
  position: 1042,
  chains: 1,
  root: auditExample.hash,
  key: "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
  signature:
    "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==",
};

const journalOperations: readonly Operation[] = [
  {
    method: "GET",
    path: `${v1}/audit`,
    id: "listAudit",
    group: "Journal",
    summary: "Read the journal",
    description:
      "Sealed entries, newest first; with `Accept: application/x-ndjson` all that match, oldest " +
      "first, one a line, each with the text that its hash was made of, so that the file alone " +
      "can be verified. A user gets the entries of its own chain. Where the oldest entries were dropped " +
      "(`RETENTION_JOURNAL_DAYS`), NDJSON of whole chains begins with a line of the type " +
      "`taskforce-mailer/journal-start/v1` and one of `taskforce-mailer/journal-anchor/v1` for each " +
      "owner: what the entries follow on, and the signed checkpoint that vouches for it.",
    headers: ["Accept"],
    parameters: { cursor },
    answers: [
      {
        status: 200,
        description: "One page; or, as NDJSON, all.",
        body: {
          schema: listOf(auditEntry),
          example: {
            success: true,
            data: [auditExample],
            page: { limit: 20, offset: 0, next_cursor: null },
          },
        },
      },
    ],
  },
  {
    method: "GET",
    path: `${v1}/audit/verify`,
    id: "verifyAudit",
    group: "Journal",
    summary: "Verify the journal",
    description:
      "Recomputes the chains and names the first entry that was changed, removed or added. Takes " +
      "as long as reading all entries. Where the oldest were dropped, it begins behind them, and holds " +
      "what the chains follow on there against a signed checkpoint.",
    answers: [
      {
        status: 200,
        description: "The result of the check.",
        body: {
          schema: dataOf(verdict),
          example: { success: true, data: { ok: true, checked: 1042, first_broken: null } },
        },
      },
    ],
  },
  {
    method: "GET",
    path: `${v1}/audit/checkpoint`,
    id: "getCheckpoint",
    group: "Journal",
    summary: "Get a signed checkpoint",
    description:
      "What the journal holds now, signed. Kept elsewhere, it proves later that nothing below it " +
      "was rewritten or cut off.",
    answers: [
      {
        status: 200,
        description: "The checkpoint.",
        body: {
          schema: dataOf(checkpoint),
          example: { success: true, data: checkpointExample },
        },
      },
    ],
  },
];

const checkpointsOperation: Operation = {
  method: "GET",
  path: `${v1}/audit/checkpoints`,
  id: "listCheckpoints",
  group: "Journal",
  summary: "List the stored checkpoints",
  description:
    "Checkpoints of everybody's chains that the service signed and stored, one a day, newest first. " +
    "`verify` holds the journal against them; what it proves to others is what they have kept " +
    "elsewhere.",
  parameters: { cursor },
  answers: [
    {
      status: 200,
      description: "One page.",
      body: {
        schema: listOf(checkpoint),
        example: {
          success: true,
          data: [{ ...checkpointExample, owner_id: null, chains: 12 }],
          page: { limit: 20, offset: 0, next_cursor: null },
        },
      },
    },
  ],
};

const id: Parameter = {
  description: "Id of the API key.",
  schema: { type: "string", format: "uuid" },
  example: keyId,
};

const keyOperations: readonly Operation[] = [
  {
    method: "POST",
    path: `${v1}/api-keys`,
    id: "createApiKey",
    group: "API keys",
    summary: "Make an API key",
    description:
      "Makes a key that acts for the caller. The answer shows it once; it is stored as a hash. A " +
      "key cannot make keys, unless it has the scope `admin`. With an `Idempotency-Key` the answer " +
      "is kept for a day, encrypted, for a repetition of the request; without one nowhere.",
    headers: ["Idempotency-Key"],
    body: bodyOf(apiKeySchema, {
      name: "NewApiKey",
      words: {
        name: "1 to 100 characters on one line, for people.",
        scopes: "What it may do: `send`, `read`, `admin`; at least one.",
        expires_at: "From when it counts no more: a time, or `never`. Left out: in a year.",
      },
      examples: {
        backend: {
          summary: "For a program that sends",
          value: {
            name: "shop backend",
            scopes: ["send", "read"],
            expires_at: "2031-01-01T00:00:00Z",
          },
        },
      },
    }),
    answers: [
      {
        status: 201,
        description: "The key, shown this once.",
        body: {
          schema: dataOf(newApiKey),
          example: {
            success: true,
            data: { ...apiKeyExample, key: "tfm_Ab3dEf…" },
          },
        },
      },
    ],
    errors: ["too_many_keys"],
  },
  {
    method: "GET",
    path: `${v1}/api-keys`,
    id: "listApiKeys",
    group: "API keys",
    summary: "List API keys",
    description: "Newest first, revoked ones too; never the keys themselves.",
    answers: [
      {
        status: 200,
        description: "One page.",
        body: {
          schema: listOf(apiKey),
          example: { success: true, data: [apiKeyExample], page: lastPage },
        },
      },
    ],
  },
  {
    method: "GET",
    path: `${v1}/api-keys/:id`,
    id: "getApiKey",
    group: "API keys",
    summary: "Get an API key",
    description: "Its name, scopes and times; never the key itself.",
    parameters: { id },
    answers: [
      {
        status: 200,
        description: "The key's record.",
        body: { schema: dataOf(apiKey), example: { success: true, data: apiKeyExample } },
      },
    ],
    errors: ["not_found"],
  },
  {
    method: "DELETE",
    path: `${v1}/api-keys/:id`,
    id: "revokeApiKey",
    group: "API keys",
    summary: "Revoke an API key",
    description: "It counts no more: here at once, on every process within two seconds.",
    parameters: { id },
    answers: [
      {
        status: 200,
        description: "The key's record.",
        body: {
          schema: dataOf(apiKey),
          example: {
            success: true,
            data: { ...apiKeyExample, revoked_at: "2030-01-04T08:00:00.000Z" },
          },
        },
      },
    ],
    errors: ["not_found"],
  },
];

export const journalAndKeyOperations: readonly Operation[] = [
  ...journalOperations,
  checkpointsOperation,
  ...keyOperations,
];
