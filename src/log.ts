import { pino } from "pino";
import type { Config } from "./config.ts";
import { scrubbedError, scrubbedPhrase, scrubbedText } from "./log-scrub.ts";

/**
 * What a log line may carry beside its event, and nothing else: an unknown name does not
 * compile and, coming through a cast, is dropped. No content, subject, address, token or key.
 */
export interface LogFields {
  email_id?: string;
  owner?: string;
  request_id?: string;
  attempt?: number;
  claim_token?: number;
  worker?: string;
  region?: string;
  role?: string;
  /** State of an email or of a component. */
  state?: string;
  outcome?: string;
  phase?: string;
  code?: string;
  smtp_code?: number;
  enhanced_code?: string;
  method?: string;
  /** Without its query. */
  path?: string;
  status?: number;
  /** SQL function. */
  fn?: string;
  component?: string;
  driver?: string;
  transport?: string;
  host?: string;
  /** The domain of a recipient, without the mailbox. */
  domain?: string;
  port?: number;
  /** Shown without credentials and query. */
  url?: string;
  folder?: string;
  version?: string;
  signal?: string;
  count?: number;
  /** How many there were to begin with. */
  matched?: number;
  /** Names a bulk change in the journal. */
  bulk_id?: string;
  size_bytes?: number;
  duration_ms?: number;
  delay_ms?: number;
  late_ms?: number;
  /** How far this machine's clock is ahead; negative: behind. */
  skew_ms?: number;
  limit_ms?: number;
  /** A sentence of our own: why, or what to do. */
  reason?: string;
  hint?: string;
  err?: unknown;
}

type LogLevel = Exclude<Config["logLevel"], "silent">;

/** `event` is a constant phrase such as `email sent`; whatever varies is a field. */
export type Logger = Record<LogLevel, (event: string, fields?: LogFields) => void> & {
  /** The same logger with these fields on every line. */
  with(fields: LogFields): Logger;
};

export interface LoggerOptions {
  level: Config["logLevel"];
  /** Default: standard output. */
  stream?: { write(line: string): void };
  /** Short lines for people instead of JSON. Default: whether standard output is a terminal. */
  isForPeople?: boolean;
}

interface LineStream {
  write(line: string): void;
  flush?(): void;
}

/**
 * Lines are written in this thread: a compiled binary has no worker files for pino's transports.
 */
export function createLogger({ level, stream, isForPeople }: LoggerOptions): Logger {
  const out: LineStream = stream ?? gatherLines(pino.destination({ fd: 1, sync: true }));
  const isShort = isForPeople ?? (stream === undefined && process.stdout.isTTY === true);
  const target = isShort ? { write: (line: string) => out.write(shortLine(line)) } : out;
  const lines = pino(
    {
      level,
      base: null,
      messageKey: "event",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Ours are already plain; pino's own serializer would put message and stack back.
      serializers: { err: (error: unknown) => error },
    },
    target,
  );
  return wrap((name, fields, event) => {
    lines[name](fields, event);
    // The last line before a crash is the one that matters.
    if (name === "warn" || name === "error" || name === "fatal") out.flush?.();
  }, {});
}

/**
 * What one turn of the event loop has to say goes out in one write, which costs little more than
 * that of a single line. Only a SIGKILL within that turn takes it along.
 */
function gatherLines(out: LineStream): LineStream {
  let lines = "";
  function flush(): void {
    if (lines !== "") out.write(lines);
    lines = "";
  }
  process.on("exit", flush);
  return {
    write(line: string): void {
      if (lines === "") setImmediate(flush);
      lines += line;
    },
    flush,
  };
}

function wrap(
  write: (level: LogLevel, fields: Record<string, unknown>, event: string) => void,
  always: Record<string, unknown>,
): Logger {
  const at =
    (level: LogLevel) =>
    (event: string, fields: LogFields = {}) =>
      write(level, { ...always, ...allowed(fields) }, scrubbedPhrase(event));
  return {
    trace: at("trace"),
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    fatal: at("fatal"),
    with: (fields) => wrap(write, { ...always, ...allowed(fields) }),
  };
}

const fieldKinds: Record<keyof LogFields, "string" | "number" | "error"> = {
  email_id: "string",
  owner: "string",
  request_id: "string",
  attempt: "number",
  claim_token: "number",
  worker: "string",
  region: "string",
  role: "string",
  state: "string",
  outcome: "string",
  phase: "string",
  code: "string",
  smtp_code: "number",
  enhanced_code: "string",
  method: "string",
  path: "string",
  status: "number",
  fn: "string",
  component: "string",
  driver: "string",
  transport: "string",
  host: "string",
  domain: "string",
  port: "number",
  url: "string",
  folder: "string",
  version: "string",
  signal: "string",
  count: "number",
  matched: "number",
  bulk_id: "string",
  size_bytes: "number",
  duration_ms: "number",
  delay_ms: "number",
  late_ms: "number",
  skew_ms: "number",
  limit_ms: "number",
  reason: "string",
  hint: "string",
  err: "error",
};

function allowed(fields: LogFields): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (!Object.hasOwn(fieldKinds, name) || value === undefined || value === null) continue;
    const kind = fieldKinds[name as keyof LogFields];
    if (kind === "error") kept[name] = scrubbedError(value);
    else if (typeof value === kind) {
      kept[name] = typeof value === "string" ? scrubbedText(value) : value;
    }
  }
  return kept;
}

/** `12:34:56.789 info  email sent  email_id=… duration_ms=12` */
function shortLine(line: string): string {
  const { time, level, event, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const clock = String(time).slice(11, 23);
  return `${[clock, String(level).padEnd(5), event, ...rest].join(" ")}\n`;
}
