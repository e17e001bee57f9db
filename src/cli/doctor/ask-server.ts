import { request } from "node:http";
import { issueToken } from "../../auth/jwt.ts";
import type { Config } from "../../config.ts";
import { loadSecrets } from "../../crypto/secrets.ts";
import type { RoundJson } from "../../http/reconcile-now.ts";
import { readServerFile } from "../server-file.ts";
import type { Finding } from "./finding.ts";

/** The server that has DATA_DIR; what it is asked is what it finds from where it runs. */
export interface RunningServer {
  readonly url: string;
  examine(): Promise<Finding[]>;
  reconcile(): Promise<RoundJson>;
}

const answerWithinMs = 20_000;
const answerCharactersMax = 1_000_000;

/** Finds it by what it left in DATA_DIR; null: nothing there says where it is. */
export function findServer(config: Config): RunningServer | null {
  const server = readServerFile(config.dataDir);
  if (server === null) return null;
  const ask = async (method: string, path: string): Promise<unknown> => {
    const url = new URL(path, server.url);
    const body = await send(method, url, await adminToken(config));
    return (JSON.parse(body) as { data: unknown }).data;
  };
  return {
    url: server.url,
    examine: async () => (await ask("GET", "/api/v1/doctor")) as Finding[],
    reconcile: async () => (await ask("POST", "/api/v1/reconcile")) as RoundJson,
  };
}

/** From the secret that the server itself has: whoever can read DATA_DIR may do all of this. */
async function adminToken({ jwt, dataDir }: Config): Promise<string> {
  const secret = jwt.secret ?? loadSecrets(dataDir)?.jwtSecret;
  if (secret === undefined) throw new Error(`there is no secret in ${dataDir}`);
  const { audience, issuer } = jwt;
  return issueToken({ sub: "doctor", role: "admin", ttlSeconds: 60, secret, audience, issuer });
}

/** By node:http, since `fetch` of Bun takes HTTP_PROXY also for addresses of this machine. */
function send(method: string, url: URL, token: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    const req = request(url, { method, headers, agent: false }, (res) => {
      let body = "";
      res.setEncoding("utf8");
      res.on("data", (chunk: string) => {
        body += chunk;
        if (body.length > answerCharactersMax) req.destroy(new Error("the answer never ends"));
      });
      res.on("error", reject);
      res.on("end", () => {
        if (res.statusCode === 200) resolve(body);
        else reject(new Error(`it answers HTTP ${res.statusCode}: ${detailOf(body)}`));
      });
    });
    req.setTimeout(answerWithinMs, () => req.destroy(new Error("no answer in time")));
    req.on("error", reject);
    req.end();
  });
}

function detailOf(body: string): string {
  try {
    return String(JSON.parse(body).detail);
  } catch {
    // No JSON: something else answers there.
    return body.slice(0, 100);
  }
}
