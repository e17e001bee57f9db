import type { Config } from "../../config.ts";
import type { Finding } from "../../doctor/finding.ts";
import type { RoundJson } from "../../http/operations/reconcile-now.ts";
import { readServerFile } from "../../server/server-file.ts";
import { connectHere } from "../remote/connect.ts";

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
  const mailer = connectHere(config, server.url, { sub: "doctor", role: "admin" });
  return {
    url: server.url,
    examine: async () => (await mailer.examine()).data,
    reconcile: async () => (await mailer.reconcile()).data,
  };
}
