import { entryAnswer } from "../../journal/export.ts";
import { exportJournal } from "../../journal/export-journal.ts";
import type { AuditFilter } from "../../store/audit.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { readAuditQuery } from "../request/audit-query.ts";
import { invalidQuery } from "../request/query.ts";

export const ndjsonType = "application/x-ndjson";

/**
 * GET /api/v1/audit: sealed entries, newest first; as NDJSON all that match, oldest first, with
 * what a verifier needs.
 */
export function createListAudit({ audit, log }: Pick<AppDeps, "audit" | "log">) {
  return async (c: ApiContext): Promise<Response> => {
    const { filter, limit, offset, cursor } = readAuditQuery(c);
    if (c.req.header("accept")?.includes(ndjsonType)) {
      assertNoPage(c);
      return exportResponse(c, filter, { audit, log });
    }
    const query = { ...filter, isNewestFirst: true, ...(cursor !== null && { before: cursor }) };
    // One more than asked for tells whether there is a next page.
    const asked = { ...query, limit: limit + 1, ...(offset !== null && { offset }) };
    const entries = await audit.read(asked, claimsOf(c));
    const shown = entries.slice(0, limit);
    const last = entries.length > limit ? shown.at(-1) : undefined;
    const by = offset === null ? {} : { offset };
    const page = { limit, ...by, next_cursor: last ? String(last.position) : null };
    return answer(c, shown.map(entryAnswer), { page });
  };
}

function assertNoPage(c: ApiContext): void {
  const faults = ["limit", "offset", "cursor"]
    .filter((name) => c.req.query(name) !== undefined)
    .map((name) => ({ pointer: `/${name}`, detail: "expected none, as an export is not paged" }));
  if (faults.length > 0) throw invalidQuery(faults);
}

/**
 * Page by page, as fast as the caller reads; a caller who goes away ends it. A failure midway
 * breaks the connection off, so that half an export is not taken for a whole one.
 */
function exportResponse(
  c: ApiContext,
  filter: AuditFilter,
  { audit, log }: Pick<AppDeps, "audit" | "log">,
): Response {
  c.env.server?.timeout(c.req.raw, 0);
  const pages = exportJournal(audit, filter, claimsOf(c));
  // Each page is a call to the database: as long as somebody reads, it is their turn.
  const { turn } = c.var;
  if (turn) turn.isKept = true;
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { value: page, done } = await pages.next();
          if (done) {
            controller.close();
            turn?.end();
          } else controller.enqueue(encoder.encode(page));
        } catch (error) {
          turn?.end();
          log.error("an export broke off", { err: error, request_id: c.var.requestId });
          controller.error(new Error("the export broke off"));
        }
      },
      cancel: async () => {
        turn?.end();
        await pages.return();
      },
    },
    { highWaterMark: 0 },
  );
  return c.body(body, 200, {
    "content-type": `${ndjsonType}; charset=utf-8`,
    "cache-control": "no-store",
  });
}
