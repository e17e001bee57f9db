import { domainIndexes } from "../../content/failure-index.ts";
import { type BulkReplay, replayInBulk } from "../../emails/bulk.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { bulkDepsOf } from "../bulk-deps.ts";
import {
  deadLetterFilterOf,
  deadLetterFilterSchema,
  isEmptyFilter,
  pastFaults,
  progressWarnings,
  replaysSchema,
} from "../request/bulk-fields.ts";
import { createKeptRequest } from "../request/kept-request.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";

const path = "/api/v1/dead-letters/replay";

/** POST /api/v1/dead-letters/replay: sends many again, each to those who have not got it. */
export function createReplayDeadLetters(deps: AppDeps) {
  const once = createKeptRequest(deps, path);
  return async (c: ApiContext): Promise<Response> => {
    const body = await readJson(c, deps);
    // A large set may keep us silent for longer than the server waits.
    c.env?.server?.timeout(c.req.raw, 0);
    const data = await once(c, body, () => replay(c, deps, body));
    return answer(c, data, { status: 202 });
  };
}

async function replay(c: ApiContext, deps: AppDeps, body: unknown) {
  const request = { ...readRequest(deps, body), origin: deps.peerAddress?.(c) ?? null };
  const progress = await replayInBulk(bulkDepsOf(deps), request, claimsOf(c));
  const { matched, done, bulk, byStatus } = progress;
  return {
    matched,
    replayed: done,
    bulk_id: bulk,
    warnings: [...statusWarnings(byStatus), ...progressWarnings(progress)],
  };
}

function readRequest(deps: AppDeps, body: unknown): Omit<BulkReplay, "origin"> {
  const { fields, faults } = readFields(body, replaysSchema);
  const given = readFields(fields.filter ?? {}, deadLetterFilterSchema, "/filter");
  faults.push(...given.faults, ...pastFaults(fields.scheduled_at, deps.now()));
  const { all, ...filter } = given.fields;
  if (given.faults.length === 0 && isEmptyFilter(filter) && all !== true) {
    const detail = 'expected at least one field, or "all": true for every dead letter, got none';
    faults.push({ pointer: "/filter", detail });
  }
  if (faults.length > 0) throw invalidContent(faults);
  return {
    filter: deadLetterFilterOf(filter, (domain) => domainIndexes(deps.keyRing, domain)),
    ratePerMinute: fields.rate_per_minute ?? null,
    scheduledAt: fields.scheduled_at ?? null,
    isDryRun: fields.dry_run ?? false,
  };
}

function statusWarnings({ uncertain = 0, held = 0 }: { uncertain?: number; held?: number }) {
  return [
    ...(uncertain > 0
      ? [`${uncertain} of them may have been sent already; a replay may double them.`]
      : []),
    ...(held > 0
      ? [`${held} of them are held; a replay releases them, not before their time.`]
      : []),
  ];
}
