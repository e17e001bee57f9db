import { AppError } from "../../errors.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { isUuid } from "../request/email-id.ts";
import { writeCursor } from "../request/list-cursor.ts";
import { readOwnedPageQuery } from "../request/list-query.ts";
import { apiKeyAnswer } from "./api-key-answer.ts";

/** GET /api/v1/api-keys: newest first, revoked ones too. */
export function createListApiKeys({ apiKeys }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { ownerId, ...asked } = readOwnedPageQuery(c);
    const whose = ownerId === null ? {} : { ownerId };
    const { keys, total, next } = await apiKeys.list({ ...asked, ...whose }, claimsOf(c));
    const { limit, offset } = asked;
    const page = {
      limit,
      ...(offset === null ? {} : { offset, total }),
      next_cursor: next && writeCursor(next),
    };
    return answer(c, keys.map(apiKeyAnswer), { page });
  };
}

/** GET /api/v1/api-keys/{id} */
export function createGetApiKey({ apiKeys }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const key = await apiKeys.get(keyIdOf(c), claimsOf(c));
    if (key === null) throw noSuchKey();
    return answer(c, apiKeyAnswer(key));
  };
}

/** DELETE /api/v1/api-keys/{id}: revokes it: here at once, on every process within two seconds. */
export function createRevokeApiKey({ apiKeys, peerAddress }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const key = await apiKeys.revoke(keyIdOf(c), claimsOf(c), peerAddress?.(c) ?? null);
    if (key === null) throw noSuchKey();
    return answer(c, apiKeyAnswer(key));
  };
}

/** A malformed id belongs to nobody, like an unknown one. */
function keyIdOf(c: ApiContext): string {
  const id = c.req.param("id") ?? "";
  if (!isUuid(id)) throw noSuchKey();
  return id.toLowerCase();
}

function noSuchKey(): AppError {
  return new AppError("not_found", { publicDetail: "There is no API key with this id." });
}
