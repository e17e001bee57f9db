import type { Claims, Database } from "./database.ts";
import { partClaims } from "./database.ts";
import type { ListCursor } from "./stored-email.ts";

export type ApiKeyScope = "send" | "read" | "admin";

/** A key as its owner sees it: never the key itself, of which only a hash is stored. */
export interface StoredApiKey {
  id: string;
  ownerId: string;
  name: string;
  /** Its first characters, to know it again by. */
  prefix: string;
  scopes: ApiKeyScope[];
  createdAt: Date;
  /** null: never. */
  expiresAt: Date | null;
  /** To the minute; null: never. */
  lastUsedAt: Date | null;
  revokedAt: Date | null;
  /** The key that made it, with which it ends; null: a person did. */
  madeBy: string | null;
}

export interface NewApiKey {
  id: string;
  name: string;
  prefix: string;
  /** SHA-256 in hex. */
  hash: string;
  scopes: readonly ApiKeyScope[];
  /** null: never; undefined: in a year. Never later than the key that made it. */
  expiresAt: Date | null | undefined;
  /** The key that asks; null: a person does. */
  madeBy: string | null;
  /** It acts as an admin by the word of an issuer, and ends when that says otherwise. Default false. */
  restsOnRole?: boolean;
  /** The caller's network address for the journal. */
  origin: string | null;
}

export interface ApiKeyPage {
  keys: StoredApiKey[];
  /** null: by cursor. */
  total: number | null;
  next: ListCursor | null;
}

export type CreatedApiKey =
  | { kind: "created"; key: StoredApiKey; isNew: boolean }
  | { kind: "too_many" | "expired" };

/** The database's answer about a presented key, by its own clock. */
export type KnownApiKey =
  | { kind: "found"; key: StoredApiKey }
  | { kind: "unknown" | "revoked" | "expired" };

export interface ApiKeys {
  /** It belongs to the sub of the claims. The same id again is no change: `isNew` is false. */
  create(key: NewApiKey, as: Claims): Promise<CreatedApiKey>;
  /** `ownerId` narrows what an admin sees. */
  list(
    page: { limit: number; offset: number | null; cursor: ListCursor | null; ownerId?: string },
    as: Claims,
  ): Promise<ApiKeyPage>;
  get(id: string, as: Claims): Promise<StoredApiKey | null>;
  /** null: there is none the claims may see. */
  revoke(id: string, as: Claims, origin: string | null): Promise<StoredApiKey | null>;
  /** Ends the owner's that rest on a role which a token of this moment lacks; how many. */
  endAdmins(ownerId: string, issuedAt: Date): Promise<number>;
  find(key: { prefix: string; hash: string }): Promise<KnownApiKey>;
  /** Those that count and act as an admin, the oldest first; at most 100. */
  listAdmins(): Promise<StoredApiKey[]>;
  noteUse(ids: string[]): Promise<void>;
}

export function createApiKeys(database: Database): ApiKeys {
  const service = partClaims("authenticator");
  return {
    async create({ expiresAt, madeBy, restsOnRole = false, ...key }, as) {
      const ending = expiresAt === undefined ? {} : { expires_at: expiresAt };
      const args = { ...key, ...ending, made_by: madeBy, rests_on_role: restsOnRole };
      const answer = (await database.rpc("create_api_key", args, as)) as CreatedJson;
      if (answer.kind !== "created") return answer;
      return { kind: "created", key: toKey(answer.key), isNew: answer.is_new };
    },
    async list({ limit, offset, cursor, ownerId }, as) {
      const from = cursor && { created_at: cursor.createdAt, id: cursor.id };
      const args = { id: null, limit, offset, cursor: from, owner_id: ownerId };
      const { keys, total, next } = (await database.rpc("list_api_keys", args, as)) as ListJson;
      return {
        keys: keys.map(toKey),
        total,
        next: next && { createdAt: next.created_at, id: next.id },
      };
    },
    async get(id, as) {
      const args = { id, limit: 1, offset: null, cursor: null };
      const { keys } = (await database.rpc("list_api_keys", args, as)) as ListJson;
      return keys[0] ? toKey(keys[0]) : null;
    },
    async revoke(id, as, origin) {
      const answer = (await database.rpc("revoke_api_key", { id, origin }, as)) as RevokedJson;
      return answer.kind === "revoked" ? toKey(answer.key) : null;
    },
    async endAdmins(ownerId, issuedAt) {
      const args = { owner_id: ownerId, issued_at: issuedAt };
      return ((await database.rpc("end_admin_keys", args, service)) as { ended: number }).ended;
    },
    async find({ prefix, hash }) {
      const answer = (await database.rpc("find_api_key", { prefix, hash }, service)) as KnownJson;
      return answer.kind === "found" ? { kind: "found", key: toKey(answer.key) } : answer;
    },
    async listAdmins() {
      const answer = await database.rpc("list_admin_keys", {}, partClaims("metrics"));
      return (answer as Pick<ListJson, "keys">).keys.map(toKey);
    },
    async noteUse(ids) {
      await database.rpc("note_api_key_use", { ids }, service);
    },
  };
}

interface ApiKeyJson {
  id: string;
  owner_id: string;
  name: string;
  prefix: string;
  scopes: ApiKeyScope[];
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
  made_by: string | null;
}

type CreatedJson =
  | { kind: "created"; key: ApiKeyJson; is_new: boolean }
  | { kind: "too_many" | "expired" };
type RevokedJson = { kind: "revoked"; key: ApiKeyJson } | { kind: "not_found" };
type KnownJson = { kind: "found"; key: ApiKeyJson } | { kind: "unknown" | "revoked" | "expired" };

interface ListJson {
  keys: ApiKeyJson[];
  total: number | null;
  next: { created_at: string; id: string } | null;
}

function toKey(json: ApiKeyJson): StoredApiKey {
  return {
    id: json.id,
    ownerId: json.owner_id,
    name: json.name,
    prefix: json.prefix,
    scopes: json.scopes,
    createdAt: new Date(json.created_at),
    expiresAt: toDate(json.expires_at),
    lastUsedAt: toDate(json.last_used_at),
    revokedAt: toDate(json.revoked_at),
    madeBy: json.made_by,
  };
}

function toDate(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
