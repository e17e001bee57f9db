import { Counter, Gauge, Histogram } from "@prometheus-io/client";
import { type Metrics, prefix } from "./metrics.ts";

export interface BuildLabels {
  version: string;
  commit: string;
  role: string;
  region: string;
  database: string;
  queue: string;
  transport: string;
}

const lagEveryMs = 500;

/** What this process is, and what it takes of its machine. */
export function registerProcess(metrics: Metrics, build: BuildLabels): void {
  const registers = [metrics.registry];
  const labelNames = Object.keys(build) as (keyof BuildLabels)[];
  const name = `${prefix}build_info`;
  new Gauge({ name, help: "Always 1; the labels tell.", labelNames, registers }).set(
    { ...build },
    1,
  );
  new Gauge({
    name: "process_start_time_seconds",
    help: "Unix time at which the process started.",
    registers,
  }).set(Math.round(Date.now() / 1000 - process.uptime()));
  const memory = new Gauge({
    name: "process_resident_memory_bytes",
    help: "Memory of the process in the machine's RAM.",
    registers,
  });
  const cpu = new Counter({
    name: "process_cpu_seconds_total",
    help: "CPU time the process has used, user and system.",
    registers,
  });
  metrics.beforeAnswer(() => {
    memory.set(process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    cpu.reset();
    cpu.inc((user + system) / 1e6);
  });
  measureEventLoop(registers);
}

/** A timer that comes late says how long everything else had to wait. */
function measureEventLoop(registers: Metrics["registry"][]): void {
  const lag = new Histogram({
    name: `${prefix}event_loop_lag_seconds`,
    help: "How late a timer came, looked at twice a second.",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers,
  });
  let expectedAt = performance.now() + lagEveryMs;
  const timer = setInterval(() => {
    const now = performance.now();
    lag.observe(Math.max(0, now - expectedAt) / 1000);
    expectedAt = now + lagEveryMs;
  }, lagEveryMs);
  // Measuring is no reason for the process to stay.
  timer.unref();
}
