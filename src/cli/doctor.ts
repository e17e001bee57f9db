import { parseArgs } from "node:util";
import type { Finding } from "../doctor/finding.ts";
import type { Command, CommandIo } from "./command.ts";
import { diagnose } from "./doctor/diagnose.ts";
import { type DoctorReport, printReport } from "./doctor/print-report.ts";

const usage = `Usage: taskforce-mailer doctor [--fix] [--json]

Looks at everything the server needs: settings, database and schema, queue, SMTP login (nothing
is sent), clocks, DNS of the sender's domain, disk; and at what waits in the database. Says what
it saw and what to do. Exits 0 when nothing failed, else 1.

  --fix    runs the reconciler once: returns or settles what dead processes had claimed.
           Running servers do the same every few seconds
  --json   {"status", "checks": [{"check", "status", "saw", "advice"}], "fix", "server"}

If a running server holds the embedded database, the command asks that server.

Examples:
  taskforce-mailer doctor
  taskforce-mailer doctor --json | jq '.checks[] | select(.status != "ok")'`;

export const doctorCommand: Command = {
  name: "doctor",
  summary: "check every component and suggest fixes",
  usage,
  run: runDoctor,
};

async function runDoctor(args: string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      fix: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const { checks, fix, server } = await diagnose(io, values.fix);
  const report: DoctorReport = { status: worstOf(checks), checks, fix, server };
  if (values.json) io.stdout.write(`${JSON.stringify(report)}\n`);
  else printReport(report, io);
  return report.status === "failed" ? 1 : 0;
}

function worstOf(checks: Finding[]): DoctorReport["status"] {
  const has = (status: Finding["status"]) => checks.some((finding) => finding.status === status);
  return has("failed") ? "failed" : has("warning") ? "warning" : "ok";
}
