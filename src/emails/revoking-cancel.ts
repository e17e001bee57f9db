import type { BulkCancel } from "../store/bulk-cancel.ts";
import type { BulkChange } from "../store/bulk-change.ts";
import type { Emails } from "../store/emails.ts";

/**
 * Asked before the claims of these emails are revoked, and told afterwards of which they were, by default
 * of all: so they leave this process's memory at once, and what it has claimed anew stays.
 */
export type Revoking = (ids: readonly string[]) => (revoked?: readonly string[]) => void;

/** As `emails`; what is cancelled costs the next hop no conversation of this process. */
export function revokeCancelled(emails: Emails, revoking: Revoking): Emails {
  return {
    ...emails,
    async cancel(id, as, origin) {
      const revoke = revoking([id]);
      const answer = await emails.cancel(id, as, origin);
      if (answer === "cancelled") revoke();
      return answer;
    },
  };
}

/** The same of many. One that was fenced meanwhile has begun, so that nothing is revoked of it. */
export function revokeCancelledInBulk(bulkCancel: BulkCancel, revoking: Revoking): BulkCancel {
  return {
    ...bulkCancel,
    async cancel(chunk, as) {
      const revoke = revoking(chunk.ids);
      const count = await bulkCancel.cancel(chunk, as);
      revoke();
      return count;
    },
  };
}

/** The same of what many are changed to. */
export function revokeChangedInBulk(bulkChange: BulkChange, revoking: Revoking): BulkChange {
  return {
    ...bulkChange,
    async change(wanted, chunk, as) {
      const revoke = revoking(chunk.ids);
      const count = await bulkChange.change(wanted, chunk, as);
      revoke();
      return count;
    },
  };
}
