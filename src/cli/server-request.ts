import { type IncomingMessage, request } from "node:http";
import { issueToken } from "../auth/jwt.ts";
import type { Config } from "../config.ts";
import { loadSecrets } from "../crypto/secrets.ts";

const answerWithinMs = 20_000;

/** From the secret that the server itself has: whoever can read DATA_DIR may do all of this. */
export async function tokenForServer(
  { jwt, dataDir }: Config,
  { ttlSeconds = 60, ...who }: { sub: string; role?: "admin"; ttlSeconds?: number | undefined },
): Promise<string> {
  const secret = jwt.secret ?? loadSecrets(dataDir)?.jwtSecret;
  if (secret === undefined) throw new Error(`there is no secret in ${dataDir}`);
  const { audience, issuer } = jwt;
  return issueToken({ ...who, ttlSeconds, secret, audience, issuer });
}

/** The bytes of an answer of the server of this machine as they come, however many; rejects with its `detail` unless it is 200. */
export async function* streamFromServer({
  url,
  token,
  accept,
}: {
  url: URL;
  token: string;
  accept: string;
}): AsyncGenerator<Uint8Array, void, undefined> {
  const headers = { authorization: `Bearer ${token}`, accept };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const req = request(url, { headers, agent: false }, resolve);
  req.setTimeout(answerWithinMs, () => req.destroy(new Error("no answer in time")));
  req.on("error", reject);
  req.end();
  const res = await promise;
  try {
    if (res.statusCode !== 200) {
      const body = Buffer.concat(await Array.fromAsync<Buffer>(res)).toString();
      throw new Error(`it answers HTTP ${res.statusCode}: ${detailOf(body)}`);
    }
    yield* res;
    if (!res.complete) throw new Error("the answer broke off");
  } finally {
    req.destroy();
  }
}

function detailOf(body: string): string {
  try {
    return String(JSON.parse(body).detail);
  } catch {
    // No JSON: something else answers there.
    return body.slice(0, 100);
  }
}
