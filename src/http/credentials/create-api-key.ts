import { z } from "zod";
import { createApiKey, readApiKey } from "../../auth/api-key.ts";
import { type Principal, type Scope, scopes } from "../../auth/principal.ts";
import { AppError } from "../../errors.ts";
import type { StoredApiKey } from "../../store/api-keys.ts";
import type { Claims } from "../../store/database.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { boundedList, credentialEndField, expecting } from "../request/field-schemas.ts";
import { createKeptCreation } from "../request/kept-request.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";
import { apiKeyAnswer } from "./api-key-answer.ts";

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
  expires_at: credentialEndField,
});

/**
 * POST /api/v1/api-keys: a key that acts as its maker, with rights the maker has. Shown once, but that
 * with an Idempotency-Key the answer is kept, encrypted, for a day. It ends in a year unless another
 * time is said, and with the key that made it.
 */
export function createCreateApiKey(deps: AppDeps) {
  const once = createKeptCreation(deps, "/api/v1/api-keys");
  return async (c: ApiContext): Promise<Response> => {
    const body = await readJson(c, deps);
    const origin = deps.peerAddress?.(c) ?? null;
    const caller = { principal: principalOf(c), claims: claimsOf(c), origin };
    // An answer that is kept holds a key: whoever may not make it may not read it either.
    assertOwnRights(caller.principal, readAsked(body));
    const made = await once(c, body, {
      plan: () => {
        // Before anything is kept for the Idempotency-Key; the database judges it by its own clock.
        const { expiresAt } = readAsked(body);
        if (expiresAt && expiresAt <= deps.now()) throw alreadyPast();
        return planApiKey();
      },
      make: async (plan: KeyPlan) => {
        const { stored, key, isNew } = await makePlannedKey(deps, body, caller, plan);
        return { made: { ...apiKeyAnswer(stored), key }, isNew };
      },
    });
    return answer(c, made, { status: 201 });
  };
}

interface KeyPlan {
  id: string;
  /** The whole key. */
  key: string;
}

function planApiKey(): KeyPlan {
  return { id: Bun.randomUUIDv7(), key: createApiKey().key };
}

/** The caller, as a credential and the journal know them. */
export interface KeyMaker {
  principal: Principal;
  claims: Claims;
  origin: string | null;
}

/** `key` is the whole key, which is kept nowhere. */
export async function makeApiKey(
  deps: Pick<AppDeps, "apiKeys">,
  body: unknown,
  caller: KeyMaker,
): Promise<{ stored: StoredApiKey; key: string }> {
  return await makePlannedKey(deps, body, caller, planApiKey());
}

async function makePlannedKey(
  { apiKeys }: Pick<AppDeps, "apiKeys">,
  body: unknown,
  { principal, claims, origin }: KeyMaker,
  { id, key }: KeyPlan,
): Promise<{ stored: StoredApiKey; key: string; isNew: boolean }> {
  const asked = readAsked(body);
  assertOwnRights(principal, asked);
  const parts = readApiKey(key);
  if (parts === null) throw new Error("the planned API key does not parse");
  const { prefix, hash } = parts;
  const made = { id, prefix, hash, madeBy: principal.key?.id ?? null };
  const restsOnRole = principal.isOfIssuer === true && asked.scopes.includes("admin");
  const created = await apiKeys.create({ ...asked, ...made, restsOnRole, origin }, claims);
  if (created.kind !== "created") {
    throw created.kind === "too_many" ? tooManyKeys() : alreadyPast();
  }
  return { stored: created.key, key, isNew: created.isNew };
}

interface Asked {
  name: string;
  scopes: Scope[];
  /** null: never; undefined: in a year. */
  expiresAt: Date | null | undefined;
}

function readAsked(body: unknown): Asked {
  const { fields, faults } = readFields(body, apiKeySchema);
  if (faults.length > 0) throw invalidContent(faults);
  return {
    name: fields.name ?? "",
    scopes: fields.scopes ?? [],
    expiresAt: fields.expires_at,
  };
}

function assertOwnRights({ isAdmin, key }: Principal, { scopes: asked, expiresAt }: Asked): void {
  if (asked.includes("admin") && !isAdmin) {
    throw new AppError("forbidden", {
      publicDetail: "Only an admin may make a key with the scope admin.",
    });
  }
  const end = key?.expiresAt ?? null;
  // The default ends no later than this key.
  if (end === null || expiresAt === undefined) return;
  if (expiresAt !== null && expiresAt <= end) return;
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
