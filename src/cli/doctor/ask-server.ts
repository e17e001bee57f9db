import type { Config } from "../../config.ts";
import type { RoundJson } from "../../http/reconcile-now.ts";
import { readServerFile } from "../server-file.ts";
import { askServer, tokenForServer } from "../server-request.ts";
import type { Finding } from "./finding.ts";

/** The server that has DATA_DIR; what it is asked is what it finds from where it runs. */
export interface RunningServer {
  readonly url: string;
  examine(): Promise<Finding[]>;
  reconcile(): Promise<RoundJson>;
}

/** Finds it by what it left in DATA_DIR; null: nothing there says where it is. */
export function findServer(config: Config): RunningServer | null {
  const server = readServerFile(config.dataDir);
  if (server === null) return null;
  const ask = async (method: string, path: string): Promise<unknown> => {
    const url = new URL(path, server.url);
    const token = await tokenForServer(config, { sub: "doctor", role: "admin" });
    return ((await askServer({ method, url, token })) as { data: unknown }).data;
  };
  return {
    url: server.url,
    examine: async () => (await ask("GET", "/api/v1/doctor")) as Finding[],
    reconcile: async () => (await ask("POST", "/api/v1/reconcile")) as RoundJson,
  };
}
