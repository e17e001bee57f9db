import type { StoredApiKey } from "../../store/api-keys.ts";

/** An API key as answers show it; `key` itself is beside it once, when it is made. */
export function apiKeyAnswer(key: StoredApiKey) {
  return {
    id: key.id,
    owner: key.ownerId,
    name: key.name,
    prefix: key.prefix,
    scopes: key.scopes,
    created_at: key.createdAt,
    expires_at: key.expiresAt,
    last_used_at: key.lastUsedAt,
    revoked_at: key.revokedAt,
    made_by: key.madeBy,
  };
}
