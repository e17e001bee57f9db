import { z } from "zod";
import { createApiKey } from "../auth/api-key.ts";
import { type Principal, type Scope, scopes } from "../auth/principal.ts";
import { AppError } from "../errors.ts";
import { answer } from "./answer.ts";
import { type ApiContext, claimsOf, principalOf } from "./api-env.ts";
import { apiKeyAnswer } from "./api-key-answer.ts";
import type { AppDeps } from "./app-deps.ts";
import { boundedList, boundField, expecting } from "./field-schemas.ts";
import { readFields } from "./read-fields.ts";
import { readJson } from "./read-json.ts";
import { invalidContent } from "./to-draft.ts";

const nameExpected = expecting("a name of 1 to 100 characters on one line");
const scopesWords = 'a list of "send", "read" and "admin", each once, at least one';
const scopesExpected = expecting(scopesWords);

export const apiKeySchema = z.strictObject({
  name: z
    .string(nameExpected)
    .min(1, nameExpected)
    .max(100, { ...nameExpected, abort: true })
    .refine((name) => !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name), nameExpected),
  scopes: boundedList(z.enum(scopes, expecting('"send", "read" or "admin"')), {
    max: scopes.length,
    list: scopesWords,
    tooMany: scopesWords,
  }).refine((list) => list.length > 0 && new Set(list).size === list.length, scopesExpected),
  // Null is refused: a variable that happens to be empty would make a key that never ends.
  expires_at: boundField,
});

/** POST /api/v1/api-keys: a key that acts as its maker, with rights the maker has. Shown once. */
export function createCreateApiKey(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    assertNoIdempotencyKey(c);
    const asked = readAsked(await readJson(c, deps));
    assertOwnRights(principalOf(c), asked);
    const { key, prefix, hash } = createApiKey();
    const created = await deps.apiKeys.create(
      { ...asked, id: Bun.randomUUIDv7(), prefix, hash, origin: deps.peerAddress?.(c) ?? null },
      claimsOf(c),
    );
    if (created.kind !== "created") {
      throw created.kind === "too_many" ? tooManyKeys() : alreadyPast();
    }
    return answer(c, { ...apiKeyAnswer(created.key), key }, { status: 201 });
  };
}

interface Asked {
  name: string;
  scopes: Scope[];
  expiresAt: Date | null;
}

function readAsked(body: unknown): Asked {
  const { fields, faults } = readFields(body, apiKeySchema);
  if (faults.length > 0) throw invalidContent(faults);
  return {
    name: fields.name ?? "",
    scopes: fields.scopes ?? [],
    expiresAt: fields.expires_at ?? null,
  };
}

/** The answer holds the key, which is kept nowhere: there is nothing to answer a repetition with. */
function assertNoIdempotencyKey(c: ApiContext): void {
  if (c.req.header("idempotency-key") === undefined) return;
  throw new AppError("not_supported_yet", {
    publicDetail:
      "A key is shown once and kept nowhere, so Idempotency-Key cannot be honoured here. When an " +
      "answer was lost, revoke the key by its id and make another.",
  });
}

function assertOwnRights({ isAdmin, key }: Principal, { scopes: asked, expiresAt }: Asked): void {
  if (asked.includes("admin") && !isAdmin) {
    throw new AppError("forbidden", {
      publicDetail: "Only an admin may make a key with the scope admin.",
    });
  }
  const end = key?.expiresAt ?? null;
  if (end === null || (expiresAt !== null && expiresAt <= end)) return;
  throw new AppError("forbidden", {
    publicDetail: `A key may not make one that outlives it: expires_at has to be ${end.toISOString()} or earlier.`,
  });
}

function tooManyKeys(): AppError {
  return new AppError("too_many_keys", {
    publicDetail: "There are 100 keys that count already: revoke one first.",
  });
}

function alreadyPast(): AppError {
  const detail = "expected a time in the future, got one that is past";
  return invalidContent([{ pointer: "/expires_at", detail }]);
}
