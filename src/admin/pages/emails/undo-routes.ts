import type { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { changeInBulk } from "../../../emails/bulk.ts";
import type { WantedChange } from "../../../store/bulk-change.ts";
import { faultOf } from "../fault.ts";
import { readUndo, redirectWith, type Undo } from "../flash.ts";
import type { PagesDeps } from "../pages-deps.ts";
import { counted } from "../words.ts";
import { listPath } from "./list-page.tsx";

const formBytesMax = 16 * 1024;
/** Later than this an undo would surprise, and has to search too much of the journal. */
const undoWithinMs = 3_600_000;
/** A process's clock may be ahead of the database's, which dates the journal. */
const skewMs = 300_000;

/** Takes a change of many back, of those to which nothing has happened since. */
export function mountUndo(app: Hono, deps: PagesDeps): void {
  app.post("/console/emails/undo", bodyLimit({ maxSize: formBytesMax }), async (c) => {
    const visit = await deps.door.act(c);
    if (visit instanceof Response) return visit;
    const undo = readUndo(await c.req.parseBody());
    if (undo === null) return c.redirect(listPath(""), 303);
    const path = listPath(undo.text);
    const madeAt = instantIn(undo.bulk);
    if (madeAt.getTime() < visit.frame.now.getTime() - undoWithinMs) {
      return redirectWith(c, path, "It is too late to undo that.", { kind: "fault" });
    }
    const since = new Date(madeAt.getTime() - skewMs);
    try {
      const { done } = await changeInBulk(
        deps.bulk,
        {
          wanted: wantedOf(undo),
          filter: { isWithDismissed: true, lastBulk: { id: undo.bulk, since } },
          isDryRun: false,
          origin: visit.origin,
        },
        visit.claims,
      );
      return redirectWith(c, path, doneWords(undo, done));
    } catch (error) {
      return redirectWith(c, path, faultOf(error).words, { kind: "fault" });
    }
  });
}

function wantedOf({ change, seconds }: Undo): WantedChange {
  return change === "reschedule" ? { change, shiftSeconds: seconds } : { change };
}

function doneWords({ change }: Undo, done: number): string {
  if (done === 0) return "Nothing was left to undo: they have gone out, or were changed since.";
  const emails = counted(done, "email");
  if (change === "hold") return `Undone: ${emails} held again.`;
  if (change === "release") return `Undone: ${emails} released again.`;
  return `Undone: ${emails} due as before.`;
}

/** RFC 9562, section 5.7: a version 7 UUID begins with its instant. */
function instantIn(id: string): Date {
  return new Date(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16));
}
