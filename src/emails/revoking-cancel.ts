import type { BulkCancel } from "../store/bulk-cancel.ts";
import type { BulkChange } from "../store/bulk-change.ts";
import type { Emails } from "../store/emails.ts";

/** Told of ids whose claims this process has revoked, so that they leave its memory at once. */
export type Revoke = (ids: readonly string[]) => void;

/** As `emails`; what is cancelled costs the next hop no conversation of this process. */
export function revokeCancelled(emails: Emails, revoke: Revoke): Emails {
  return {
    ...emails,
    async cancel(id, as, origin) {
      const answer = await emails.cancel(id, as, origin);
      if (answer === "cancelled") revoke([id]);
      return answer;
    },
  };
}

/** The same of many. One that was fenced meanwhile has begun, so that nothing is revoked of it. */
export function revokeCancelledInBulk(bulkCancel: BulkCancel, revoke: Revoke): BulkCancel {
  return {
    ...bulkCancel,
    async cancel(chunk, as) {
      const count = await bulkCancel.cancel(chunk, as);
      revoke(chunk.ids);
      return count;
    },
  };
}

/** The same of what many are changed to. */
export function revokeChangedInBulk(bulkChange: BulkChange, revoke: Revoke): BulkChange {
  return {
    ...bulkChange,
    async change(wanted, chunk, as) {
      const count = await bulkChange.change(wanted, chunk, as);
      revoke(chunk.ids);
      return count;
    },
  };
}
