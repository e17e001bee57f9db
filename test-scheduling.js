#!/usr/bin/env node
// node test-scheduling.js: hands over an email that is due in two minutes, goes away, and sees it
// sent at its time. It is `scripts/demo --scenario send`; `--in 20s` waits less.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const demo = fileURLToPath(new URL("scripts/demo", import.meta.url));
const args = ["--scenario", "send", ...process.argv.slice(2)];
const child = spawn(demo, args, { stdio: "inherit" });

child.on("error", (error) => {
  console.error(`test-scheduling: scripts/demo cannot be run: ${error.message}`);
  process.exitCode = 1;
});
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
// The demo has the same terminal and ends its server by itself; this process waits for that.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
