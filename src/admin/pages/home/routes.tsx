import type { Context, Hono } from "hono";
import { decryptEmail } from "../../../content/decrypt-email.ts";
import type { EmailFilter } from "../../../store/stored-email.ts";
import { sendPage } from "../../page-response.ts";
import { toDeadGroup } from "../dead-letters/group.tsx";
import type { Visit } from "../door.tsx";
import type { PagesDeps } from "../pages-deps.ts";
import { spanOf } from "./edges.ts";
import { type FirstStep, HomePage } from "./home-page.tsx";

const nextMax = 10;
const groupsMax = 5;

const noFilter: EmailFilter = {
  statuses: null,
  isDeferred: false,
  tag: null,
  metadata: null,
  addressIndex: null,
  scheduledAfter: null,
  scheduledBefore: null,
};

/** `/`: what goes out when, what is next, what needs a person. */
export function mountHome(app: Hono, deps: PagesDeps): void {
  app.get("/", async (c) => {
    const visit = await deps.door.enter(c);
    return visit instanceof Response ? visit : await sendHome(c, visit, deps);
  });
}

async function sendHome(c: Context, { frame, claims }: Visit, deps: PagesDeps): Promise<Response> {
  const { emails, bulk, keyRing, timelines } = deps;
  const span = spanOf({ from: c.req.query("from"), to: c.req.query("to") }, frame.now);
  const page = { limit: nextMax, offset: null, cursor: null };
  const pending = { ...noFilter, statuses: ["pending" as const] };
  const [timeline, next, { groups }] = await Promise.all([
    timelines.read(span, claims),
    emails.list(pending, { ...page, sort: "scheduled_at" }, claims),
    bulk.deadLetters.groups({}, { limit: groupsMax, offset: 0 }, claims),
  ]);
  const isQuiet = next.emails.length === 0 && groups.length === 0;
  const isEmpty =
    isQuiet && (await emails.list(noFilter, { ...page, limit: 1 }, claims)).emails.length === 0;
  const home = {
    ...{ frame, span, timeline },
    next: next.emails.map((email) => ({ email, decrypted: decryptEmail(email, keyRing) })),
    groups: groups.map((group) => toDeadGroup(group, keyRing)),
    firstSteps: isEmpty ? firstSteps(deps.visitors.baseUrl(c), deps.program) : null,
  };
  return await sendPage(c, <HomePage {...home} />);
}

/** The same email in three ways; the token is made where the command runs. */
function firstSteps(baseUrl: string, program: string): FirstStep[] {
  const token = `${program} token --sub you`;
  const email = {
    recipients: ["you@example.com"],
    subject: "Hello",
    body: "It works.",
  };
  const inTenMinutes = "new Date(Date.now() + 600_000).toISOString()";
  const curl = [
    `curl ${baseUrl}/api/v1/schedule-mail`,
    `-H "Authorization: Bearer $(${token})"`,
    '-H "Content-Type: application/json"',
    `-d '${JSON.stringify({ ...email, scheduled_at: "'$(date -u -d +10min +%FT%TZ)'" })}'`,
  ].join(" \\\n  ");
  const js = [
    `await fetch("${baseUrl}/api/v1/schedule-mail", {`,
    '  method: "POST",',
    "  headers: { Authorization: `Bearer $" + "{process.env.TASKFORCE_MAILER_TOKEN}`,",
    '    "Content-Type": "application/json" },',
    `  body: JSON.stringify({ recipients: ["you@example.com"], subject: "Hello",`,
    `    body: "It works.", scheduled_at: ${inTenMinutes} }),`,
    "});",
  ].join("\n");
  return [
    { id: "by-curl", title: "From a shell", command: curl },
    { id: "by-js", title: "From JavaScript", command: js },
    { id: "make-token", title: "A token for it", command: token },
  ];
}
