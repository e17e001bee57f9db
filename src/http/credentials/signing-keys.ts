import { AppError } from "../../errors.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { pathText } from "../request/path-text.ts";

/** GET /api/v1/signing-keys: the keys of JWKS_URL that tokens are verified with. */
export function createListSigningKeys({ signingKeys, droppedSigningKeys }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const dropped = await droppedSigningKeys.list();
    const found = (await signingKeys?.list()) ?? [];
    const gone = [...dropped.keys()].filter((kid) => !found.some((key) => key.kid === kid));
    const rows = [
      ...found.map(({ kid, algorithm }) => ({ kid, algorithm })),
      ...gone.map((kid) => ({ kid, algorithm: null })),
    ];
    return answer(
      c,
      rows.map((row) => ({ ...row, dropped_at: dropped.get(row.kid) ?? null })),
    );
  };
}

/**
 * DELETE /api/v1/signing-keys/{kid}: no token signed with it counts any more, on every process
 * within two seconds, whatever the key set or a cache before it still says.
 */
export function createDropSigningKey({ droppedSigningKeys, peerAddress }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const kid = pathText(c, "kid");
    if (kid === null) {
      throw new AppError("not_found", { publicDetail: "No signing key has such an id." });
    }
    await droppedSigningKeys.drop(kid, claimsOf(c), peerAddress?.(c) ?? null);
    return answer(c, { kid, status: "dropped" });
  };
}
