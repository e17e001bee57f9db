import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Schemas } from "../client/call-types.ts";
import type { Client } from "../client/client.ts";
import { emailEventTypes } from "../email/event-types.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { connect, readOwner, remoteTokenHelp } from "./remote/connect.ts";

const usage = `Usage: taskforce-mailer trigger <type> [--tag <tag>] [--json]

Makes an event of that type happen at a server that captures its mails, by an email to a recipient
under outcome.test; what comes before and after it happens too. \`listen\` and every webhook hear of
it. Prints the email's id.

  <type>          one of ${emailEventTypes.slice(0, -1).join(",\n                  ")}
  --tag <tag>     what the email carries (default: trigger)
  --owner <id>    at the server of this machine: whose the email is (default: cli)
  --json          the answer as one line of JSON
${remoteTokenHelp}

Examples:
  taskforce-mailer trigger email.bounced
  taskforce-mailer trigger email.sent --tag demo --json`;

export const triggerCommand: Command = {
  name: "trigger",
  summary: "make one event of a type happen, to try a webhook",
  usage,
  run: runTrigger,
};

interface Stage {
  mailer: Client;
  /** Schedules an email to a part under outcome.test; its id. */
  schedule(part: string, fields?: Partial<Schemas["Email"]>): Promise<string>;
  /** Resolves when it has this status. */
  until(id: string, status: string): Promise<void>;
}

const day = 86_400_000;
const tomorrow = () => new Date(Date.now() + day).toISOString();

/** How each type is made to happen; resolves with the email's id. */
const plays: Readonly<Record<string, (stage: Stage) => Promise<string>>> = {
  "email.scheduled": ({ schedule }) => schedule("sent", { scheduled_at: tomorrow() }),
  "email.rescheduled": async ({ schedule, mailer }) => {
    const id = await schedule("sent", { scheduled_at: tomorrow() });
    const body = { scheduled_at: new Date(Date.now() + 2 * day).toISOString() };
    await mailer.updateEmail({ path: { id }, body });
    return id;
  },
  "email.updated": async ({ schedule, mailer }) => {
    const id = await schedule("sent", { scheduled_at: tomorrow() });
    const body = { subject: "Changed by taskforce-mailer trigger" };
    await mailer.updateEmail({ path: { id }, body });
    return id;
  },
  "email.cancelled": async ({ schedule, mailer }) => {
    const id = await schedule("sent", { scheduled_at: tomorrow() });
    await mailer.cancelEmail({ path: { id } });
    return id;
  },
  "email.sending": ({ schedule }) => schedule("sent"),
  "email.sent": ({ schedule }) => schedule("sent"),
  "email.deferred": ({ schedule }) => schedule("deferred"),
  "email.bounced": ({ schedule }) => schedule("bounced"),
  "email.failed": ({ schedule }) => schedule("bounced"),
  "email.uncertain": ({ schedule }) => schedule("uncertain", { on_uncertain: "hold" }),
  "email.expired": ({ schedule }) =>
    schedule("sent", {
      scheduled_at: new Date(Date.now() - 30_000).toISOString(),
      max_lateness: 1,
      on_late: "drop",
    }),
  "email.held": async ({ schedule, mailer }) => {
    const id = await schedule("sent", { scheduled_at: tomorrow() });
    await mailer.holdEmail({ path: { id } });
    return id;
  },
  "email.released": async ({ schedule, mailer }) => {
    const id = await schedule("sent", { scheduled_at: tomorrow() });
    await mailer.holdEmail({ path: { id } });
    await mailer.releaseEmail({ path: { id } });
    return id;
  },
  "email.replayed": async ({ schedule, mailer, until }) => {
    const id = await schedule("bounced");
    await until(id, "failed");
    await mailer.replayDeadLetter({ path: { id } });
    return id;
  },
};

async function runTrigger(args: string[], { env, stdout }: CommandIo): Promise<number> {
  const text = { type: "string" } as const;
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...{ tag: text, owner: text, url: text, token: text },
      json: { type: "boolean", default: false },
    },
  });
  const [type = "", ...more] = positionals;
  const play = plays[type];
  if (more.length > 0 || play === undefined) {
    throw new UsageError(`expected one type of ${Object.keys(plays).join(", ")}`);
  }
  const { url, token, owner, tag = "trigger" } = values;
  const mailer = connect({ url, token }, env, { who: { sub: readOwner(owner) ?? "cli" } });
  if (mailer.isGiven && owner !== undefined) {
    throw new UsageError(
      "--owner is for the server of this machine: a credential says whose it is",
    );
  }
  await assertCaptures(mailer);
  const id = await play(createStage(mailer, tag));
  stdout.write(`${values.json ? JSON.stringify({ type, email_id: id }) : `${type} ${id}`}\n`);
  return 0;
}

/** A server that sends would hand the mail to its next hop. */
async function assertCaptures(mailer: Client): Promise<void> {
  const health = await mailer.getHealth();
  if (health.components?.transport?.driver === "capture") return;
  throw new Error("this server sends its mails: trigger needs one with TRANSPORT=capture");
}

const untilEveryMs = 200;
const untilMs = 15_000;

function createStage(mailer: Client, tag: string): Stage {
  return {
    mailer,
    async schedule(part, fields) {
      const email = {
        recipients: [`${part}@outcome.test`],
        subject: "Made by taskforce-mailer trigger",
        body: "This email was made to try a webhook.",
        tags: [tag],
      };
      const { data } = await mailer.scheduleMail({ body: { ...email, ...fields } });
      if (!("id" in data)) throw new Error("the server did not answer with one email");
      return data.id;
    },
    async until(id, status) {
      const deadline = Date.now() + untilMs;
      while ((await mailer.getStatus({ path: { id } })).data.status !== status) {
        if (Date.now() > deadline) throw new Error(`the email did not become ${status} in time`);
        await pause(untilEveryMs);
      }
    },
  };
}
