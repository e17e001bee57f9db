import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { guardedFolder } from "../../src/testing/product/product.ts";
import { asChild, freePort } from "../../src/testing/servers/child-server.ts";
import { type Relay, untilItGreets } from "./relay.ts";

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

/** One process: one for each core was no faster beside a load generator on two cores, and cost more. */
const nodes = 0;

const outbound = ["concurrency_max=100", "enable_tls=false", "local_mx_ok=true"];

/** Haraka out of its package, with a queue on the disk and a configuration of its own. */
export async function startHaraka(tools: string, sinkPort: number): Promise<Relay> {
  const folder = guardedFolder("haraka");
  const port = await freePort();
  const home = join(tools, "npm/node_modules/Haraka");
  // It reads sections without which it dies at the first connection.
  cpSync(join(home, "config"), join(folder, "config"), { recursive: true });
  for (const name of ["plugins", "queue"]) mkdirSync(join(folder, name));
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  write("config/smtp.ini", `listen=127.0.0.1:${port}\nnodes=${nodes}\n`);
  write("config/plugins", "bench_hop\n");
  write("config/outbound.ini", `${outbound.join("\n")}\n`);
  write("config/loglevel", "ERROR\n");
  write("config/log.ini", "[main]\nlevel=error\n");
  write("config/me", "relay.example.test\n");
  write("config/host_list", "example.test\n");
  write("plugins/bench_hop.js", plugin(sinkPort));
  const child = Bun.spawn(
    asChild(["node", join(home, "bin/haraka"), "-c", folder], "SIGKILL", null),
    {
      cwd: folder,
      env: { PATH: process.env.PATH ?? "" },
      stdout: "ignore",
      stderr: "inherit",
    },
  );
  await untilItGreets("Haraka", port, child);
  return {
    name: "Haraka",
    port,
    pid: child.pid,
    settings: `${versionOf(home)}, nodes=${nodes}, outbound ${outbound.join(" ")}, log level error`,
    queued: () => readdirSync(join(folder, "queue")).length,
    async close() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

function versionOf(home: string): string {
  const { version } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
  return String(version);
}
