import { spawnSync } from "node:child_process";

export interface ScheduleCommandOptions {
  baseUrl: string;
  token: string;
  /** Whether a program of this name is on the PATH of whoever will paste the line. */
  hasTool: (name: string) => boolean;
  /** This very program, which runs JavaScript when all else is missing. */
  execPath: string;
}

const example = {
  recipients: ["you@example.com"],
  subject: "Hello from Taskforce Mailer",
  body: "Accepted now, sent at its time.",
};

// GNU's and busybox's, then BSD's. The first that works here is used, at paste time.
const dateForms = [
  ["-u", "-d", "@{then}", "+%Y-%m-%dT%H:%M:%SZ"],
  ["-u", "-r", "{then}", "+%Y-%m-%dT%H:%M:%SZ"],
];

/**
 * One line for bash, dash, zsh or busybox's shell that schedules a mail ten seconds after it is
 * pasted. JSON stands in single quotes, which no shell looks into; only the date is computed.
 */
export function scheduleCommand(options: ScheduleCommandOptions): string {
  const { hasTool } = options;
  const date = dateExpression();
  if (date !== null && hasTool("curl")) return curlCommand(options, date);
  if (date !== null && hasTool("wget")) return wgetCommand(options, date);
  if (hasTool("bun")) return `bun -e '${fetchScript(options)}'`;
  if (hasTool("node")) return `node -e '${fetchScript(options)}'`;
  // A compiled Bun program behaves like Bun itself under this variable.
  return `BUN_BE_BUN=1 ${shellQuote(options.execPath)} -e '${fetchScript(options)}'`;
}

function curlCommand({ baseUrl, token }: ScheduleCommandOptions, date: string): string {
  return (
    `curl -sS -w '\\n' ${baseUrl}/api/v1/schedule-mail -H 'Authorization: Bearer ${token}'` +
    ` -H 'Content-Type: application/json' -d ${jsonArgument(date)}`
  );
}

function wgetCommand({ baseUrl, token }: ScheduleCommandOptions, date: string): string {
  return (
    `wget -qO- --header 'Authorization: Bearer ${token}'` +
    ` --header 'Content-Type: application/json' --post-data ${jsonArgument(date)}` +
    ` ${baseUrl}/api/v1/schedule-mail`
  );
}

function jsonArgument(date: string): string {
  const json = JSON.stringify({ ...example, scheduled_at: "@date@" });
  return `'${json.replace("@date@", `'${date}'`)}'`;
}

/** A program for `-e` without a single quote in it, so that it may stand in single quotes. */
function fetchScript({ baseUrl, token }: ScheduleCommandOptions): string {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const body = JSON.stringify(example).slice(0, -1);
  return (
    `fetch("${baseUrl}/api/v1/schedule-mail",{method:"POST",headers:${JSON.stringify(headers)},` +
    `body:JSON.stringify(${body},"scheduled_at":new Date(Date.now()+1e4)})})` +
    ".then(r=>r.text()).then(console.log)"
  );
}

/** `$(date …)` for ten seconds from now, in the form this machine's `date` understands. */
function dateExpression(): string | null {
  const known = dateForms.find((form) => {
    const shown = spawnSync(
      "date",
      form.map((part) => part.replace("{then}", "10")),
    );
    return shown.status === 0 && shown.stdout.toString().trim() === "1970-01-01T00:00:10Z";
  });
  if (known === undefined) return null;
  return `$(date ${known.join(" ").replace("{then}", "$(($(date +%s)+10))")})`;
}

function shellQuote(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
