import { issueToken } from "../../auth/jwt.ts";
import type { Config } from "../../config.ts";
import { loadSecrets } from "../../crypto/secrets.ts";
import { readServerFile } from "../../server/server-file.ts";
import { UsageError } from "../command.ts";

/** The server that a command talks to, and a way to a credential for it. */
export interface ServerAddress {
  url: string;
  /** A fresh one each time: a stream ends with the one that opened it. */
  token(): Promise<string>;
}

const tokenSeconds = 3_600;

/** `--url` and `--token`, else the server of DATA_DIR or PUBLIC_URL and a token of its own secret. */
export function serverAddress(
  config: Config,
  given: { url: string | null; token: string | null; owner: string | null },
): ServerAddress {
  const url = given.url ?? readServerFile(config.dataDir)?.url ?? config.http.publicUrl;
  if (url === null) {
    throw new Error(
      `there is no running server in ${config.dataDir}: start one, or give --url and --token`,
    );
  }
  if (!URL.canParse(url)) throw new UsageError("--url must be a URL such as http://127.0.0.1:3000");
  const { token } = given;
  if (token !== null) return { url, token: async () => token };
  const secret = config.jwt.secret ?? loadSecrets(config.dataDir)?.jwtSecret;
  if (secret === undefined)
    throw new UsageError("--token is required: there is no JWT_SECRET here");
  const { audience, issuer } = config.jwt;
  const who = given.owner === null ? { sub: "cli", role: "admin" as const } : { sub: given.owner };
  return {
    url,
    token: () => issueToken({ ...who, ttlSeconds: tokenSeconds, secret, audience, issuer }),
  };
}
