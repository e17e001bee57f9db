import type { Context, Hono } from "hono";
import { checkJournal } from "../../../journal/check-journal.ts";
import { exportLine } from "../../../journal/export.ts";
import { readJournal } from "../../../journal/read-journal.ts";
import type { AuditFilter } from "../../../store/audit.ts";
import { sendPage } from "../../page-response.ts";
import type { Visit } from "../door.tsx";
import type { PagesDeps } from "../pages-deps.ts";
import { AuditPage, type Verdict } from "./audit-page.tsx";

const pageSize = 50;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const actionPattern = /^[\w.]{1,64}$/;

/** The sealed journal: to read, to verify, to take along. */
export function mountAudit(app: Hono, deps: PagesDeps): void {
  app.get("/console/audit", async (c) => {
    const visit = await deps.door.enter(c);
    return visit instanceof Response ? visit : await sendAudit(c, visit, deps);
  });
  app.get("/console/audit/export", async (c) => {
    const visit = await deps.door.slip(c);
    return visit instanceof Response ? visit : sendExport(c, visit, deps);
  });
}

/** Only what can be one is asked for: an unknown action or id finds nothing. */
function filterOf(c: Context): AuditFilter {
  const { email = "", action = "", actor = "" } = c.req.query();
  return {
    ...(uuid.test(email) ? { emailId: email } : {}),
    ...(actionPattern.test(action) ? { action } : {}),
    ...(actor === "" ? {} : { actor: actor.slice(0, 300) }),
  };
}

async function sendAudit(c: Context, { frame, claims }: Visit, deps: PagesDeps): Promise<Response> {
  const { email = "", action = "", actor = "", before = "", verify } = c.req.query();
  const older = /^\d{1,15}$/.test(before) ? { before: Number(before) } : {};
  const query = { ...filterOf(c), ...older, limit: pageSize + 1, isNewestFirst: true };
  const entries = await deps.audit.read(query, claims);
  const shown = entries.slice(0, pageSize);
  const last = entries.length > pageSize ? shown.at(-1) : undefined;
  const asked = { email, action, actor };
  const page = {
    ...{ frame, asked, entries: shown },
    older: last === undefined ? null : pathOf({ ...asked, before: String(last.position) }),
    exportPath: pathOf(asked, "/console/audit/export"),
    verdict: verify === "true" ? await verdictFor(c, claims, deps) : null,
  };
  return await sendPage(c, <AuditPage {...page} />);
}

async function verdictFor(
  c: Context,
  claims: Visit["claims"],
  { audit }: PagesDeps,
): Promise<Verdict> {
  const ownerId = claims.role === "admin" ? null : claims.sub;
  const verdict = await checkJournal(audit, { ownerId, as: claims, signal: c.req.raw.signal });
  const { checked } = verdict;
  if (verdict.ok) return { isOk: true, checked, words: "" };
  const { number, reason } = verdict.broken;
  return { isOk: false, checked, words: `entry ${number}: ${reason}` };
}

function pathOf(query: Record<string, string>, path = "/console/audit"): string {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  const text = new URLSearchParams(given).toString();
  return text === "" ? path : `${path}?${text}`;
}

/** Page by page, as fast as the browser takes it; what a verifier needs is in each line. */
function sendExport(c: Context, { claims }: Visit, { audit }: PagesDeps): Response {
  const pages = readJournal(audit, filterOf(c), claims);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value: page, done } = await pages.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(page.map(exportLine).join("")));
    },
    cancel: async () => void (await pages.return()),
  });
  return c.body(body, 200, {
    "Content-Type": "application/x-ndjson; charset=utf-8",
    "Content-Disposition": 'attachment; filename="journal.ndjson"',
    "Cache-Control": "no-store",
  });
}
