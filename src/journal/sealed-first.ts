import type { Audit } from "../store/audit.ts";
import type { Sealer } from "./seal.ts";

/** Longer than a round takes that waits for a transaction which keeps the journal (300 ms). */
const patienceMs = 2_000;

/**
 * The journal for readers who were just told of a change: all that was committed when they ask is
 * sealed before the first page is read, so that it is on it. Later pages go by positions, which do not
 * change. Where sealing fails or others seal for longer than 2 s, a reader gets what is sealed by then.
 */
export function sealedFirst(audit: Audit, sealer: Pick<Sealer, "catchUp">): Audit {
  return {
    async read(query, as) {
      const isFirstPage = (query.after ?? 0) === 0 && query.before === undefined;
      if (isFirstPage) await sealer.catchUp(patienceMs);
      return await audit.read(query, as);
    },
    async state(ownerId, as) {
      await sealer.catchUp(patienceMs);
      return await audit.state(ownerId, as);
    },
    async heads(page, as) {
      if (page.after === null) await sealer.catchUp(patienceMs);
      return await audit.heads(page, as);
    },
    start: audit.start,
    checkpoints: audit.checkpoints,
  };
}
