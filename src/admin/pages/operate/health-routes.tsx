import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { AppError } from "../../../errors.ts";
import type { Claims } from "../../../store/database.ts";
import type { PauseTarget } from "../../../store/pauses.ts";
import { sendPage } from "../../page-response.ts";
import type { Visit } from "../door.tsx";
import { faultOf } from "../fault.ts";
import { redirectWith } from "../flash.ts";
import type { PagesDeps } from "../pages-deps.ts";
import { type ChartSpan, chartSpanOf, slotsOf } from "./chart-figures.ts";
import { transportsOf } from "./fleet-cards.tsx";
import { HealthPage, type Running } from "./health-page.tsx";

const formBytesMax = 16 * 1024;
const path = "/console/health";

/** How every part stands, a try of a transport that is down, and the emergency stop. */
export function mountHealth(app: Hono, deps: PagesDeps): void {
  const { door, pauses } = deps;

  app.get(path, async (c) => {
    const visit = await door.enter(c);
    return visit instanceof Response ? visit : await sendHealth(c, visit, deps);
  });

  app.post(`${path}/probe`, bodyLimit({ maxSize: formBytesMax }), async (c) => {
    const visit = await door.act(c);
    if (visit instanceof Response) return visit;
    const { transport } = await c.req.parseBody();
    try {
      return redirectWith(c, path, await probe(String(transport), visit, deps));
    } catch (error) {
      return await sendHealth(c, visit, deps, faultOf(error).words);
    }
  });

  for (const action of ["pause", "resume"] as const) {
    app.post(`${path}/${action}`, bodyLimit({ maxSize: formBytesMax }), async (c) => {
      const visit = await door.act(c);
      if (visit instanceof Response) return visit;
      const form = await c.req.parseBody();
      const by = { claims: visit.claims, origin: visit.origin };
      try {
        if (!visit.frame.principal.isAdmin) throw adminsOnly();
        const reason = String(form.reason ?? "").trim();
        if (action === "resume" && form.kind === "database") {
          const decision = form.decision === "send" ? "send" : "hold";
          const { held } = await pauses.resumeRestored({ decision, reason: reason || null }, by);
          const words = held > 0 ? `Sending goes on; ${held} are held.` : "Sending goes on.";
          return redirectWith(c, path, words);
        }
        const target = targetOf(form);
        if (action === "resume") {
          const wasPaused = await pauses.resume({ ...target, reason: reason || null }, by);
          return redirectWith(c, path, wasPaused ? "Sending goes on." : "It was not paused.");
        }
        if (!deps.isPauseReason(reason)) throw noReason();
        if (target.kind === "region" && !deps.regions().includes(target.name)) throw noRegion();
        await pauses.pause({ ...target, reason }, by);
        return redirectWith(c, path, `Sending of ${target.kind} ${target.name} is paused.`);
      } catch (error) {
        return await sendHealth(c, visit, deps, faultOf(error).words);
      }
    });
  }
}

async function sendHealth(c: Context, visit: Visit, deps: PagesDeps, words?: string) {
  const { frame, claims } = visit;
  const { isAdmin } = frame.principal;
  const [{ status, components }, running] = await Promise.all([
    deps.health(),
    isAdmin ? readRunning(chartSpanOf(c.req.query("span"), frame.now), claims, deps) : null,
  ]);
  const page = {
    ...{ frame, status, components, running },
    pauses: deps.pausesShownTo(frame.principal),
    regions: deps.regions(),
    fault: words,
  };
  return await sendPage(c, <HealthPage {...page} />, words === undefined ? 200 : 422);
}

async function readRunning(span: ChartSpan, as: Claims, deps: PagesDeps): Promise<Running> {
  const [sums, processes] = await Promise.all([
    deps.minutes.read(span, as),
    deps.processes.list(as),
  ]);
  return { span, slots: slotsOf(sums, span), processes, skewMs: deps.skewMs() };
}

/** Answers what the page says afterwards. */
async function probe(name: string, visit: Visit, deps: PagesDeps): Promise<string> {
  const { frame, claims, origin } = visit;
  if (!frame.principal.isAdmin) throw adminsOnlyProbe();
  const found = transportsOf(await deps.processes.list(claims)).find((one) => one.name === name);
  if (found === undefined) throw noTransport();
  if (found.down.length === 0) return `Mail gets through ${name} already.`;
  await deps.probeRequests.ask(name, { claims, origin });
  return `The next email tries ${name} within a second or two; this page says what came of it.`;
}

function targetOf({ kind, name }: Record<string, unknown>): PauseTarget {
  const text = typeof name === "string" ? name : "";
  if (text === "" || text.length > 255) throw noName();
  return { kind: kind === "owner" ? "owner" : "region", name: text };
}

const invalid = (publicDetail: string) => new AppError("invalid_content", { publicDetail });
const noName = () => invalid("Name the region or the owner.");
const noReason = () => invalid("Say why, on one line of at most 500 characters.");
const noRegion = () => invalid("There is no such region: nothing would be stopped.");
const noTransport = () => invalid("No process that lives sends by that transport.");
const adminsOnlyProbe = () =>
  new AppError("forbidden", { publicDetail: "A transport is tried by admins." });
const adminsOnly = () =>
  new AppError("forbidden", { publicDetail: "Sending is paused and resumed by admins." });
