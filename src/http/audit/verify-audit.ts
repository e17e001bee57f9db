import { checkJournal } from "../../journal/check-journal.ts";
import { signCheckpoint } from "../../journal/checkpoint.ts";
import type { JournalVerdict, VerifiedStart } from "../../journal/verify-journal.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { readChainOwner } from "../request/audit-query.ts";

/** GET /api/v1/audit/verify: recomputes the chains; takes as long as reading all entries. */
export function createVerifyAudit({ audit }: Pick<AppDeps, "audit">) {
  return async (c: ApiContext): Promise<Response> => {
    const ownerId = readChainOwner(c);
    c.env.server?.timeout(c.req.raw, 0);
    const { signal } = c.req.raw;
    const verdict = await checkJournal(audit, { ownerId, as: claimsOf(c), signal });
    return answer(c, verdictAnswer(verdict));
  };
}

export function verdictAnswer(verdict: JournalVerdict) {
  const { ok, checked } = verdict;
  if (ok) {
    const { checkpoints } = verdict;
    const kept = checkpoints === undefined ? {} : { checkpoints: checkpoints.count };
    return { ok, checked, first_broken: null, ...startAnswer(verdict.start), ...kept };
  }
  const { ownerId: owner_id, number, position, reason } = verdict.broken;
  return { ok, checked, first_broken: number, owner_id, position, reason };
}

function startAnswer(start: VerifiedStart | undefined) {
  if (start === undefined) return {};
  const { position: verified_from, droppedAt: dropped_at, checkpoint } = start;
  return { verified_from, dropped_at, dropped_checkpoint: checkpoint?.position ?? null };
}

/** GET /api/v1/audit/checkpoint: what the journal holds now, signed, to be kept elsewhere. */
export function createGetCheckpoint({
  audit,
  checkpointKey,
}: Pick<AppDeps, "audit" | "checkpointKey">) {
  return async (c: ApiContext): Promise<Response> => {
    const ownerId = readChainOwner(c);
    const state = await audit.state(ownerId, claimsOf(c));
    return answer(c, signCheckpoint(state, ownerId, checkpointKey));
  };
}
