import { type BulkCancelling, cancelInBulk } from "../../emails/bulk.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { bulkDepsOf } from "../bulk-deps.ts";
import {
  cancelsSchema,
  isEmptyFilter,
  narrowingOf,
  progressWarnings,
} from "../request/bulk-fields.ts";
import { createKeptRequest } from "../request/kept-request.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";

const path = "/api/v1/cancel";

/** POST /api/v1/cancel: of those counted as cancelled nothing will ever be sent. */
export function createCancelEmails(deps: AppDeps) {
  const once = createKeptRequest(deps, path);
  return async (c: ApiContext): Promise<Response> => {
    const body = await readJson(c, deps);
    // A large set may keep us silent for longer than the server waits.
    c.env?.server?.timeout(c.req.raw, 0);
    return answer(c, await once(c, body, () => cancel(c, deps, body)));
  };
}

async function cancel(c: ApiContext, deps: AppDeps, body: unknown) {
  const request = { ...readRequest(body), origin: deps.peerAddress?.(c) ?? null };
  const progress = await cancelInBulk(bulkDepsOf(deps), request, claimsOf(c));
  const { matched, done, bulk } = progress;
  return { matched, cancelled: done, bulk_id: bulk, warnings: progressWarnings(progress) };
}

function readRequest(body: unknown): Omit<BulkCancelling, "origin"> {
  const { fields, faults } = readFields(body, cancelsSchema);
  const { dry_run: isDryRun, ...filter } = fields;
  if (faults.length === 0 && isEmptyFilter(filter)) {
    const expected = "at least one of tag, metadata, scheduled_after, scheduled_before";
    faults.push({ pointer: "", detail: `expected ${expected}, got none` });
  }
  if (faults.length > 0) throw invalidContent(faults);
  return { filter: narrowingOf(filter), isDryRun: isDryRun ?? false };
}
