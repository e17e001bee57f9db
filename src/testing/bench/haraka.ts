import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { asChild, freePort, until } from "../child-server.ts";
import { guardedFolder } from "../product.ts";

export interface Relay {
  readonly name: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Takes mail for anybody and hands it to one next hop, which is what we are compared in. */
const plugin = (sinkPort: number) => `exports.register = function () {
  this.register_hook("rcpt", "any");
  this.register_hook("get_mx", "hop");
};
exports.any = function (next, connection) {
  connection.relaying = true;
  next(OK);
};
exports.hop = (next) => next(OK, { priority: 0, exchange: "127.0.0.1", port: ${sinkPort} });
`;

/** Haraka out of its package, with a queue on the disk and a configuration of its own. */
export async function startHaraka(tools: string, sinkPort: number): Promise<Relay> {
  const folder = guardedFolder("haraka");
  const port = await freePort();
  // It reads sections without which it dies at the first connection.
  cpSync(join(tools, "npm/node_modules/Haraka/config"), join(folder, "config"), {
    recursive: true,
  });
  for (const name of ["plugins", "queue"]) mkdirSync(join(folder, name));
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  write("config/smtp.ini", `listen=127.0.0.1:${port}\nnodes=0\n`);
  write("config/plugins", "bench_hop\n");
  write(
    "config/outbound.ini",
    "concurrency_max=100\nenable_tls=false\nalways_split=true\nlocal_mx_ok=true\n",
  );
  write("config/loglevel", "ERROR\n");
  write("config/log.ini", "[main]\nlevel=error\n");
  write("config/me", "relay.example.test\n");
  write("config/host_list", "example.test\n");
  write("plugins/bench_hop.js", plugin(sinkPort));
  const binary = join(tools, "npm/node_modules/Haraka/bin/haraka");
  const child = Bun.spawn(asChild(["node", binary, "-c", folder], "SIGKILL", null), {
    cwd: folder,
    env: { PATH: process.env.PATH ?? "" },
    stdout: "ignore",
    stderr: "inherit",
  });
  await until("Haraka listens", () => child.exitCode !== null || answers(port), 60_000);
  if (child.exitCode !== null) throw new Error("Haraka ended at once");
  return {
    name: "Haraka",
    port,
    async close() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** Its greeting, not only its port: it has been seen to die of its first connection. */
async function answers(port: number): Promise<boolean> {
  const greeted = Promise.withResolvers<boolean>();
  const socket = connect(port, "127.0.0.1");
  socket.setTimeout(5_000, () => greeted.resolve(false));
  socket.once("data", (words) => greeted.resolve(words.toString().startsWith("220")));
  socket.once("error", () => greeted.resolve(false));
  socket.once("close", () => greeted.resolve(false));
  return greeted.promise.finally(() => socket.destroy());
}
