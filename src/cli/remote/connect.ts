import { isOwnerId } from "../../auth/principal.ts";
import { type Client, createClient } from "../../client/client.ts";
import { type Config, loadConfig } from "../../config.ts";
import { readServerFile } from "../../server/server-file.ts";
import { type CommandIo, UsageError } from "../command.ts";
import { tokenForServer } from "../server-request.ts";
import { fetchDirectly } from "./local-fetch.ts";

/** Where a server elsewhere is, and a credential for it; of the command line, no settings. */
export const urlVariable = "TASKFORCE_MAILER_URL";
export const tokenVariable = "TASKFORCE_MAILER_TOKEN";

/** Options of commands that ask a server about somebody's emails, for `parseArgs`. */
export const remoteOptions = {
  url: { type: "string" },
  sub: { type: "string" },
  json: { type: "boolean", default: false },
} as const;

/** Their part of a command's help. */
export const remoteHelp = `  --url <url>       the server (default: ${urlVariable}, or the one of this DATA_DIR and PORT);
                    its token or API key is read from ${tokenVariable}
  --sub <id>        at the server of this machine: whose emails (default developer)`;

/** The same of commands with options of their own for whose emails are meant. */
export const remoteTokenHelp = `  --url, --token  another server, and a credential for it (default: ${urlVariable} and
                  ${tokenVariable}, or the server of this DATA_DIR and PORT)`;

export interface RemoteValues {
  url?: string | undefined;
  token?: string | undefined;
  sub?: string | undefined;
}

/** Of the token that is made for the server of this machine. */
export interface OwnToken {
  /** Default: the admin `developer`. */
  who?: { sub: string; role?: "admin" };
  /** Default: a minute. */
  ttlSeconds?: number;
}

const answerWithinMs = 20_000;
const ownerDefault = "developer";
/** A stream ends with the token that opened it. */
export const streamSeconds = 3_600;

export interface Remote {
  url: string;
  token: string | (() => Promise<string>);
  /** Whether the credential was given, so that it says whose emails are meant. */
  isGiven: boolean;
}

/**
 * The server that is meant and a credential for it: a server elsewhere by `--url` and `--token` or
 * the variables; the one of this machine by the file it leaves in DATA_DIR and the secret that
 * lies there.
 */
export function remoteOf(
  values: RemoteValues,
  env: CommandIo["env"],
  { who, ttlSeconds }: OwnToken = {},
): Remote {
  const { sub } = values;
  // Empty counts as unset of a variable only: an option is there because it was meant.
  const url = values.url ?? (env[urlVariable] || undefined);
  const given = values.token ?? (env[tokenVariable] || undefined);
  if (sub !== undefined && !isOwnerId(sub)) {
    throw new UsageError("--sub must be 1 to 255 characters");
  }
  if (values.token === "") throw new UsageError("--token must hold a token or an API key");
  if (url !== undefined) {
    if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
      const name = values.url === undefined ? urlVariable : "--url";
      throw new UsageError(`${name} must be an address such as https://mail.example.com`);
    }
    if (given === undefined)
      throw new UsageError(`${tokenVariable} must hold a token or an API key`);
    if (sub !== undefined) throw new UsageError("--sub is for the server of this machine");
    return { url, token: given, isGiven: true };
  }
  if (given !== undefined && sub !== undefined) {
    throw new UsageError(`--sub is of no use beside ${tokenVariable}, which says whose emails`);
  }
  const config = loadConfig(env);
  const own = who ?? { sub: sub ?? ownerDefault, role: "admin" };
  // Each call one of its own: an import may take longer than one token lasts.
  const token = given ?? (() => tokenForServer(config, { ...own, ttlSeconds }));
  const { url: announced } = readServerFile(config.dataDir) ?? { url: addressOf(config) };
  return { url: announced, token, isGiven: given !== undefined };
}

/** What `--owner` names. */
export function readOwner(owner: string | undefined): string | undefined {
  if (owner === undefined || isOwnerId(owner)) return owner;
  throw new UsageError("--owner must be 1 to 255 characters");
}

function addressOf({ http: { host, port } }: Config): string {
  const isAnywhere = host === "0.0.0.0" || host === "::";
  return `http://${isAnywhere ? "127.0.0.1" : host}:${port}`;
}

/** The typed client of the server that has DATA_DIR, by the secret that lies there. */
export function connectHere(
  config: Config,
  url: string,
  who: Parameters<typeof tokenForServer>[1],
  { timeoutMs = answerWithinMs }: { timeoutMs?: number } = {},
): Client {
  const token = () => tokenForServer(config, who);
  return createClient({ url, token, fetch: fetchDirectly, timeoutMs });
}

/** The typed client of the server that is meant. */
export function connect(
  values: RemoteValues,
  env: CommandIo["env"],
  own?: OwnToken,
): Client & { isGiven: boolean } {
  const { url, token, isGiven } = remoteOf(values, env, own);
  return { ...createClient({ url, token, fetch: fetchDirectly }), isGiven };
}
