import { type BulkChanging, changeInBulk } from "../../emails/bulk.ts";
import type { FieldFault } from "../../errors.ts";
import type { WantedChange } from "../../store/bulk-change.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { bulkDepsOf } from "../bulk-deps.ts";
import {
  holdsSchema,
  isEmptyFilter,
  narrowingOf,
  pastFaults,
  progressWarnings,
  releasesSchema,
  reschedulesSchema,
} from "../request/bulk-fields.ts";
import { idempotencyOf } from "../request/idempotency.ts";
import { createKeptRequest } from "../request/kept-request.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";

/** What a body asks for, or what is wrong with it. */
type Reading = Omit<BulkChanging, "origin">;

/** POST /api/v1/hold: all of them wait until a person releases them. */
export function createHoldEmails(deps: AppDeps) {
  return createBulkRoute(deps, "/api/v1/hold", "held", (body) => {
    const { fields, faults } = readFields(body, holdsSchema);
    return readingOf(fields, faults, { change: "hold" });
  });
}

/** POST /api/v1/release: each at its own time, or now when that has passed. */
export function createReleaseEmails(deps: AppDeps) {
  return createBulkRoute(deps, "/api/v1/release", "released", (body) => {
    const { fields, faults } = readFields(body, releasesSchema);
    return readingOf(fields, faults, { change: "release" });
  });
}

/** POST /api/v1/reschedule: to one moment, or each by as many seconds. */
export function createRescheduleEmails(deps: AppDeps) {
  return createBulkRoute(deps, "/api/v1/reschedule", "rescheduled", (body) => {
    const { fields, faults } = readFields(body, reschedulesSchema);
    const { scheduled_at: scheduledAt, shift_seconds: shiftSeconds, ...filter } = fields;
    faults.push(...pastFaults(scheduledAt, deps.now()));
    const given = [scheduledAt, shiftSeconds].filter((time) => time != null).length;
    if (faults.length === 0 && given !== 1) {
      const detail = `expected either scheduled_at or shift_seconds, got ${given === 0 ? "neither" : "both"}`;
      faults.push({ pointer: given === 0 ? "" : "/shift_seconds", detail });
    }
    const wanted: WantedChange = scheduledAt
      ? { change: "reschedule", scheduledAt }
      : { change: "reschedule", shiftSeconds: shiftSeconds ?? 0 };
    return readingOf(filter, faults, wanted);
  });
}

/** Without a filter everything would be meant: that is refused, so that nobody means all by mistake. */
function readingOf(
  { dry_run: isDryRun = false, ...filter }: { dry_run?: boolean | undefined },
  faults: FieldFault[],
  wanted: WantedChange,
): Reading {
  if (faults.length === 0 && isEmptyFilter(filter)) {
    const expected = "at least one of tag, metadata, scheduled_after, scheduled_before";
    faults.push({ pointer: "", detail: `expected ${expected}, got none` });
  }
  if (faults.length > 0) throw invalidContent(faults);
  return { wanted, filter: narrowingOf(filter), isDryRun };
}

/** A change of many by one POST; `done` names their number in the answer. */
export function createBulkRoute(
  deps: AppDeps,
  path: string,
  done: string,
  read: (body: unknown) => Reading,
) {
  const once = createKeptRequest(deps, path);
  async function run(c: ApiContext, body: unknown) {
    const request = { ...read(body), origin: deps.peerAddress?.(c) ?? null };
    const bulkDeps = { ...bulkDepsOf(deps), ...keptBulkId(c, path, body) };
    const progress = await changeInBulk(bulkDeps, request, claimsOf(c));
    const { matched, done: count, bulk } = progress;
    return { matched, [done]: count, bulk_id: bulk, warnings: progressWarnings(progress) };
  }
  return async (c: ApiContext): Promise<Response> => {
    const body = await readJson(c, deps);
    // A large set may keep us silent for longer than the server waits.
    c.env?.server?.timeout(c.req.raw, 0);
    return answer(c, await once(c, body, () => run(c, body)));
  };
}

/**
 * With an Idempotency-Key the change has the same id again when its answer was lost, by which the
 * database knows what it has shifted already.
 */
function keptBulkId(c: ApiContext, path: string, body: unknown): { newId?: () => string } {
  const idempotency = idempotencyOf(c, path, body);
  if (idempotency === null) return {};
  const name = JSON.stringify([principalOf(c).ownerId, path, idempotency.key]);
  const hex = new Bun.CryptoHasher("sha256").update(name).digest("hex");
  const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  return { newId: () => id };
}
