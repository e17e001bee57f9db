import { openCheckpoint } from "../../journal/stored-checkpoints.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { readPositionPage } from "../request/audit-query.ts";

/**
 * GET /api/v1/audit/checkpoints: what was signed once a day, the newest first. One that was changed
 * after it was signed is left out here, and named by `verify`.
 */
export function createListCheckpoints({ audit }: Pick<AppDeps, "audit">) {
  return async (c: ApiContext): Promise<Response> => {
    const { limit, offset, cursor: before } = readPositionPage(c);
    const asked = { before, offset: offset ?? 0, limit: limit + 1 };
    // One more than asked for tells whether there is a next page.
    const found = await audit.checkpoints(asked, claimsOf(c));
    const shown = found.slice(0, limit);
    const last = found.length > limit ? shown.at(-1) : undefined;
    const by = offset === null ? {} : { offset };
    const page = { limit, ...by, next_cursor: last ? String(last.position) : null };
    const sound = shown.map(openCheckpoint).filter((checkpoint) => checkpoint !== null);
    return answer(c, sound, { page });
  };
}
