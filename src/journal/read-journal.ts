import type { Audit, AuditFilter } from "../store/audit.ts";
import type { Claims } from "../store/database.ts";
import type { ChainHead, ProvenEntry } from "../store/journal.ts";

/** Entries per call: about a third of a megabyte. */
const pageSize = 500;
const headsPageSize = 5_000;

/** All sealed entries that match, oldest first, in pages; ends where the journal ends by then. */
export async function* readJournal(
  audit: Pick<Audit, "read">,
  filter: AuditFilter,
  as: Claims,
): AsyncGenerator<ProvenEntry[], void, undefined> {
  let after = 0;
  for (;;) {
    const query = { ...filter, limit: pageSize, isNewestFirst: false, after };
    const page = await audit.read(query, as);
    if (page.length > 0) yield page;
    if (page.length < pageSize) return;
    after = page.at(-1)?.position ?? after;
  }
}

/** Where every chain, or one owner's, has got to. */
export async function readHeads(
  audit: Pick<Audit, "heads">,
  ownerId: string | null,
  as: Claims,
): Promise<Map<string, ChainHead>> {
  const heads = new Map<string, ChainHead>();
  let after: string | null = null;
  for (;;) {
    const page = await audit.heads({ ownerId, after, limit: headsPageSize }, as);
    for (const { ownerId: owner, number, hash } of page) heads.set(owner, { number, hash });
    if (page.length < headsPageSize) return heads;
    after = page.at(-1)?.ownerId ?? after;
  }
}
