import { z } from "zod";
import { isOwnerId, type Principal } from "../../auth/principal.ts";
import { quoteInput } from "../../email/quote-input.ts";
import type { FieldFault } from "../../errors.ts";
import type { Pause, PauseCaller, PauseTarget } from "../../store/pauses.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { expecting, regionField } from "../request/field-schemas.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson, readOptionalJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";

export function isPauseReason(text: string): boolean {
  return /^[^\p{Cc}\p{Zl}\p{Zp}]{1,500}$/u.test(text);
}

const reasonExpected = expecting("a reason of 1 to 500 characters on one line");
const reason = z.string(reasonExpected).refine(isPauseReason, reasonExpected);
// Null is refused: a variable that happens to be empty would pause the region and not the owner.
const target = {
  region: regionField.optional(),
  owner: z
    .string(expecting("the id of an owner"))
    .refine(isOwnerId, expecting("the id of an owner, 1 to 255 characters"))
    .optional(),
};

export const pauseSchema = z.strictObject({ ...target, reason });
export const resumeSchema = z.strictObject({
  ...target,
  restored: z.enum(["send", "hold"], expecting("send or hold")).optional(),
  reason: reason.optional(),
});

/**
 * POST /api/v1/pause: nothing of the region, or of the owner, gets its fence from now on until
 * somebody resumes it. One that is paused already stays so for the first one's reason.
 */
export function createPauseSending(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { fields, faults } = readFields(await readJson(c, deps), pauseSchema);
    const asked = targetOf(fields, deps, faults);
    // In a region that nobody has heard of a pause would stop nothing.
    faults.push(...regionFaults(fields, deps));
    if (faults.length > 0) throw invalidContent(faults);
    const wanted = { ...asked, reason: fields.reason ?? "" };
    return answer(c, pauseJson(await deps.pauses.pause(wanted, callerOf(c, deps))));
  };
}

/**
 * POST /api/v1/resume: sending goes on; `was_paused` tells whether there was a pause to end. With
 * `restored` of a database that was restored or copied, whatever region is asked.
 */
export function createResumeSending(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { fields, faults } = readFields(await readOptionalJson(c, deps), resumeSchema);
    const asked = targetOf(fields, deps, faults);
    const { restored: decision, reason: why = null } = fields;
    if (decision !== undefined && (fields.region ?? fields.owner) !== undefined) {
      faults.push({ pointer: "/restored", detail: "expected no region and no owner beside it" });
    }
    if (faults.length > 0) throw invalidContent(faults);
    if (decision !== undefined) {
      const decided = { decision, reason: why };
      const resumed = await deps.pauses.resumeRestored(decided, callerOf(c, deps));
      return answer(c, resumedRestoredJson(resumed));
    }
    const wanted = { ...asked, reason: why };
    const wasPaused = await deps.pauses.resume(wanted, callerOf(c, deps));
    return answer(c, { ...asked, was_paused: wasPaused });
  };
}

/** Whose emails wait for it may know of a pause: of an owner that one's, of others everybody's. */
export function pausesShownTo({ isAdmin, ownerId }: Principal, pauses: readonly Pause[]): Pause[] {
  return pauses.filter(({ kind, name }) => isAdmin || kind !== "owner" || name === ownerId);
}

/** A pause as answers show it. */
export function pauseJson({ kind, name, pausedAt, pausedBy, reason: why }: Pause) {
  return { kind, name, paused_at: pausedAt, paused_by: pausedBy, reason: why };
}

export function resumedRestoredJson({ wasPaused, held }: { wasPaused: boolean; held: number }) {
  return { kind: "database", name: "restored", was_paused: wasPaused, held } as const;
}

interface TargetFields {
  region?: string | undefined;
  owner?: string | undefined;
}

function targetOf(
  { region, owner }: TargetFields,
  { config }: AppDeps,
  faults: FieldFault[],
): PauseTarget {
  if (region !== undefined && owner !== undefined) {
    faults.push({ pointer: "/owner", detail: "expected either region or owner, got both" });
  }
  if (owner !== undefined) return { kind: "owner", name: owner };
  return { kind: "region", name: region ?? config.region };
}

function regionFaults({ region }: TargetFields, deps: AppDeps): FieldFault[] {
  const known = [...new Set([deps.config.region, ...(deps.knownRegions?.() ?? [])])].sort();
  if (region === undefined || known.includes(region)) return [];
  const detail = `expected a region that is known (${known.join(", ")}), got ${quoteInput(region)}`;
  return [{ pointer: "/region", detail }];
}

function callerOf(c: ApiContext, { peerAddress }: AppDeps): PauseCaller {
  return { claims: claimsOf(c), origin: peerAddress?.(c) ?? null };
}
