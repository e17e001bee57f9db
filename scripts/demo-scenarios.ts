import { scripted } from "../src/testing/servers/smtp-sink-rules.ts";
import { inWords, type Moment, type Narrator } from "./demo-narrator.ts";
import type { Answer, DemoServer } from "./demo-server.ts";

export interface DemoContext {
  narrator: Narrator;
  server: DemoServer;
  aheadMs: number;
}

export interface Scenario {
  needsOwnServer: boolean;
  defaultIn: string;
  /** What the story takes beside the wait for the mail's time. */
  furtherMs: number;
  /** Rejects when the story does not come true; the message says where it broke. */
  play(context: DemoContext): Promise<void>;
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  retry: { needsOwnServer: true, defaultIn: "2s", furtherMs: 9_000, play: playRetry },
  send: { needsOwnServer: false, defaultIn: "2m", furtherMs: 3_000, play: playSend },
  cancel: { needsOwnServer: false, defaultIn: "4s", furtherMs: 2_000, play: playCancel },
  audit: { needsOwnServer: false, defaultIn: "3s", furtherMs: 2_000, play: playAudit },
};

interface Status {
  id: string;
  status: string;
  scheduled_at: string;
  next_attempt_at: string | null;
  sent_at: string | null;
  attempts: { outcome: string | null; smtp_code: number | null }[];
}

interface Entry {
  sequence: number;
  at: string;
  actor: string;
  action: string;
  detail?: { attempt?: number; smtp_code?: number; code?: number; next_attempt_at?: string };
}

async function playSend(context: DemoContext): Promise<void> {
  const { narrator, server, aheadMs } = context;
  narrator.heading(`A mail, scheduled ${inWords(aheadMs)} ahead`);
  const id = await schedule(context, "Sent at its time");
  narrator.say("The request is over: whoever sent it may go away. From here on the server has it.");
  if (aheadMs >= 8_000 && (await server.restart())) {
    narrator.say("To prove it, the server was just stopped and started again.");
  }
  const { sent_at, scheduled_at } = await follow(context, id, "sent");
  const lateMs = Date.parse(sent_at ?? "") - Date.parse(scheduled_at);
  if (!(lateMs >= 0)) throw new Error(`it was sent ${-lateMs} ms before its time`);
  await drawTimeline(context, id);
  narrator.say(`Sent ${inWords(lateMs)} after its time, and not before.`);
  if (server.sink !== null) expectTaken(server, 1);
}

async function playRetry(context: DemoContext): Promise<void> {
  const { narrator, server } = context;
  narrator.heading("The SMTP server is busy twice");
  narrator.say("Here waits are seconds instead of minutes.");
  const busy = "451 4.3.0 Try again later";
  server.sink?.setRules(scripted({ phase: "dot", times: 2, action: { do: "reply", text: busy } }));
  const id = await schedule(context, "Third time lucky");
  const { attempts } = await follow(context, id, "sent");
  await drawTimeline(context, id);
  const outcomes = attempts.map(({ outcome }) => outcome).join(", ");
  if (outcomes !== "deferred, deferred, sent") throw new Error(`the attempts were: ${outcomes}`);
  narrator.say("Two attempts deferred with a 451, the third sent; the message went out once.");
  expectTaken(server, 1);
}

async function playCancel(context: DemoContext): Promise<void> {
  const { narrator, server } = context;
  narrator.heading("Cancelled is not sent");
  const id = await schedule(context, "Better not");
  for (const which of ["first", "second"]) {
    const { status, body } = await server.request("DELETE", `/api/v1/cancel/${id}`);
    narrator.say(`The ${which} DELETE /api/v1/cancel/${id} answers ${status} ${body.code ?? ""}`);
    if (status !== 200) throw new Error(`the ${which} cancel answered ${status}, not 200`);
  }
  narrator.say("Now its time passes; a later mail goes out, this one does not.");
  const later = await schedule(context, "The later one");
  await follow(context, later, "sent");
  await drawTimeline(context, id);
  const { status, attempts } = await statusOf(context, id);
  if (status !== "cancelled" || attempts.length > 0) throw new Error(`it is ${status}`);
  if (server.sink !== null) expectTaken(server, 1);
}

async function playAudit(context: DemoContext): Promise<void> {
  const { narrator, server } = context;
  narrator.heading("What the journal says of two mails");
  const sent = await schedule(context, "One to be sent");
  const cancelled = await schedule(context, "One to be cancelled");
  const { status } = await server.request("DELETE", `/api/v1/cancel/${cancelled}`);
  if (status !== 200) throw new Error(`cancel answered ${status}`);
  await follow(context, sent, "sent");
  for (const [id, first, last] of [
    [sent, "email.scheduled", "email.sent"],
    [cancelled, "email.scheduled", "email.cancelled"],
  ] as const) {
    narrator.say(`Email ${id}`);
    const entries = await drawTimeline(context, id);
    const actions = entries.map(({ action }) => action);
    if (actions[0] !== first || actions.at(-1) !== last) {
      throw new Error(`the journal says ${actions.join(", ")}`);
    }
    if (entries.some(({ sequence }, index) => sequence !== index + 1)) {
      throw new Error("the journal has a gap");
    }
    if (JSON.stringify(entries).includes("example.test")) {
      throw new Error("the journal shows an address");
    }
  }
  narrator.say("Who, what and when, without a gap, and never what was written.");
}

async function schedule({ server, narrator, aheadMs }: DemoContext, subject: string) {
  const scheduledAt = new Date(Date.now() + aheadMs).toISOString();
  const startedAt = performance.now();
  const answer = await server.request("POST", "/api/v1/schedule-mail", {
    recipients: ["you@example.test"],
    subject,
    body: "Accepted now, sent at its time.",
    scheduled_at: scheduledAt,
  });
  const tookMs = performance.now() - startedAt;
  if (answer.status !== 201) throw new Error(`scheduling answered ${said(answer)}`);
  const { id } = answer.body.data as { id: string };
  narrator.say(`POST /api/v1/schedule-mail answered 201 after ${inWords(tookMs)}: ${id}`);
  return id;
}

async function statusOf({ server }: DemoContext, id: string): Promise<Status> {
  const answer = await server.request("GET", `/api/v1/status/${id}`);
  if (answer.status !== 200) throw new Error(`status answered ${said(answer)}`);
  return answer.body.data as Status;
}

function said({ status, body }: Answer): string {
  return `${status} ${body.code ?? ""} ${body.detail ?? ""}`.trim();
}

/** Asks every quarter of a second until the email has come to rest. */
async function follow(context: DemoContext, id: string, wanted: string): Promise<Status> {
  const { narrator } = context;
  for (let isOver = false; ; ) {
    const status = await statusOf(context, id);
    if (status.status === wanted) return status;
    const isMoving = status.status === "pending" || status.status === "sending";
    if (!isMoving || isOver) throw new Error(`it is ${status.status}, not ${wanted}`);
    const dueAt = Date.parse(status.next_attempt_at ?? status.scheduled_at);
    // A minute of grace: what is later than that would be a broken promise.
    isOver = Date.now() > dueAt + 60_000;
    const wait =
      dueAt > Date.now()
        ? `, due in ${inWords(Math.ceil((dueAt - Date.now()) / 1000) * 1000)}`
        : "";
    const tries =
      status.attempts.length === 0 ? "" : `, attempts so far: ${status.attempts.length}`;
    narrator.progress(`${status.status}${wait}${tries}`);
    await Bun.sleep(250);
  }
}

async function drawTimeline(context: DemoContext, id: string): Promise<Entry[]> {
  const answer = await context.server.request("GET", `/api/v1/emails/${id}/events?limit=100`);
  if (answer.status !== 200) throw new Error(`events answered ${said(answer)}`);
  const entries = answer.body.data as Entry[];
  context.narrator.timeline(entries.map(momentOf));
  return entries;
}

function momentOf({ at, action, actor, detail }: Entry): Moment {
  const name = action.replace(/^email\./, "");
  const attempt = detail?.attempt === undefined ? "" : `attempt ${detail.attempt}`;
  const code = detail?.smtp_code ?? detail?.code;
  const words = [
    attempt,
    code === undefined || code === null ? "" : `reply ${code}`,
    `by ${actor}`,
  ];
  return {
    at: new Date(at),
    title: name,
    detail: words.filter((word) => word !== "").join(", "),
    tone: toneOf(name),
  };
}

function toneOf(name: string): Moment["tone"] {
  if (name === "sent") return "good";
  if (name === "deferred" || name === "uncertain" || name === "held") return "wait";
  if (["failed", "bounced", "cancelled", "expired", "suppressed"].includes(name)) return "bad";
  return "plain";
}

function expectTaken({ sink }: DemoServer, count: number): void {
  const taken = sink?.acceptances.length ?? count;
  if (taken !== count) throw new Error(`the next hop took ${taken} messages, not ${count}`);
}
