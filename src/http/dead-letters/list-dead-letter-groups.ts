import { type DecryptedEmail, decryptEmail } from "../../content/decrypt-email.ts";
import { storedFailure } from "../../content/failure-index.ts";
import type { KeyRing } from "../../crypto/key-ring.ts";
import { replyPattern } from "../../email/reply-pattern.ts";
import type { FieldFault } from "../../errors.ts";
import type { DeadLetterFilter, DeadLetterGroup } from "../../store/dead-letters.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { readGroupsPage, writeOffsetCursor } from "../request/groups-page.ts";
import { assertMayAsk, createReader, parseOwner } from "../request/list-query.ts";
import { invalidQuery } from "../request/query.ts";

/** GET /api/v1/dead-letters/groups: what failed alike, the most first. */
export function createListDeadLetterGroups({ deadLetters, keyRing }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { limit, offset } = readGroupsPage(c);
    const filter = ownerFilterOf(c);
    const { groups, total } = await deadLetters.groups(filter, { limit, offset }, claimsOf(c));
    const next = offset + groups.length;
    const next_cursor = next < total && groups.length > 0 ? writeOffsetCursor(next) : null;
    const data = groups.map((group) => groupAnswer(group, keyRing));
    return answer(c, data, { page: { limit, offset, total, next_cursor } });
  };
}

function ownerFilterOf(c: ApiContext): DeadLetterFilter {
  const faults: FieldFault[] = [];
  const owner = createReader(c, faults)("owner", parseOwner);
  if (faults.length > 0) throw invalidQuery(faults);
  assertMayAsk(c, owner);
  return owner === null ? {} : { owner };
}

function groupAnswer(group: DeadLetterGroup, keyRing: KeyRing) {
  const sample = decryptSample(group, keyRing);
  const failure =
    sample && group.group !== "held" ? storedFailure(keyRing, sample, group.group) : null;
  return {
    group: group.group,
    count: group.count,
    by_status: group.byStatus,
    smtp_code: failure?.smtpCode ?? null,
    enhanced_code: failure?.enhancedCode ?? null,
    reply: failure?.reply ?? null,
    reply_pattern: failure?.reply ? replyPattern(failure.reply) : null,
    domain: failure?.domain ?? null,
    first_at: group.firstAt,
    last_at: group.lastAt,
    sample_email_id: group.sample.id,
  };
}

/** Null: its key is not in the ring, or a part of it was changed. */
function decryptSample({ sample }: DeadLetterGroup, keyRing: KeyRing): DecryptedEmail | null {
  const decrypted = decryptEmail(sample, keyRing);
  return decrypted.fault === undefined ? decrypted : null;
}
