import { isOwnerId } from "../../auth/principal.ts";
import { type Client, createClient } from "../../client/client.ts";
import { type Config, loadConfig } from "../../config.ts";
import { readServerFile } from "../../server/server-file.ts";
import { type CommandIo, UsageError } from "../command.ts";
import { tokenForServer } from "../server-request.ts";
import { fetchDirectly } from "./local-fetch.ts";

/** Options of every command that asks a server, for `parseArgs`. */
export const remoteOptions = {
  url: { type: "string" },
  sub: { type: "string" },
  json: { type: "boolean", default: false },
} as const;

/** Their part of a command's help. */
export const remoteHelp = `  --url <url>       the server (default: TASKFORCE_MAILER_URL, or the one of this DATA_DIR and PORT);
                    its token or API key is read from TASKFORCE_MAILER_TOKEN
  --sub <id>        at the server of this machine: whose emails (default developer)`;

export interface RemoteValues {
  url?: string | undefined;
  sub?: string | undefined;
}

const answerWithinMs = 20_000;
const ownerDefault = "developer";

export interface Remote {
  url: string;
  token: string | (() => Promise<string>);
}

/**
 * The server that is meant and a credential for it: a server elsewhere by its address and
 * TASKFORCE_MAILER_TOKEN; the one of this machine by the file it leaves in DATA_DIR and the secret
 * that lies there.
 */
export function remoteOf(values: RemoteValues, env: CommandIo["env"]): Remote {
  const url = values.url ?? env.TASKFORCE_MAILER_URL;
  const given = env.TASKFORCE_MAILER_TOKEN;
  if (values.sub !== undefined && !isOwnerId(values.sub)) {
    throw new UsageError("--sub must be 1 to 255 characters");
  }
  if (url !== undefined) {
    if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
      throw new UsageError("--url must be an address such as https://mail.example.com");
    }
    if (!given) throw new UsageError("TASKFORCE_MAILER_TOKEN must hold a token or an API key");
    if (values.sub !== undefined) throw new UsageError("--sub is for the server of this machine");
    return { url, token: given };
  }
  const config = loadConfig(env);
  const sub = values.sub ?? ownerDefault;
  // A minute each: an import may take longer than one token lasts.
  const token = given || (() => tokenForServer(config, { sub, role: "admin" }));
  return { url: readServerFile(config.dataDir)?.url ?? addressOf(config), token };
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

/** The typed client of that server. */
export function connect(values: RemoteValues, env: CommandIo["env"]): Client {
  return createClient({ ...remoteOf(values, env), fetch: fetchDirectly });
}
