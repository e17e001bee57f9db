import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { isOwnerId } from "../auth/principal.ts";
import { loadConfig } from "../config.ts";
import { type Checkpoint, isSoundlySigned, parseCheckpoint } from "../journal/checkpoint.ts";
import { ExportError } from "../journal/export.ts";
import { type AuditDesk, openAuditDesk } from "./audit/audit-desk.ts";
import { printVerdict } from "./audit/print-verdict.ts";
import { verifyFile } from "./audit/verify-file.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";

const usage = `Usage: taskforce-mailer audit verify [--owner <id>] [--checkpoint <file>] [--json]
       taskforce-mailer audit verify <export.ndjson> [--owner <id>] [--checkpoint <file>] [--json]
       taskforce-mailer audit export [--owner <id>]
       taskforce-mailer audit checkpoint [--owner <id>]

verify recomputes the journal's hash chains and names the first entry that is broken: in the
database, or in a file without any database. export prints all entries as NDJSON, with what verify
needs. checkpoint prints a signed word on what the journal holds now: kept elsewhere, it later
proves that nothing up to then was cut off or rewritten. Exits 0 when all is sound, 1 when not.

  --owner <id>         this owner's entries alone (default everybody's)
  --checkpoint <file>  what an earlier \`audit checkpoint\` printed
  --public-key <key>   the checkpoint must be signed by this one; its "key" when it was made
  --json               {"ok", "checked", "first_broken", "owner_id", "position", "reason"}

If a running server holds the embedded database, the command asks that server.

Examples:
  taskforce-mailer audit verify
  taskforce-mailer audit export > journal.ndjson && taskforce-mailer audit verify journal.ndjson
  taskforce-mailer audit checkpoint > checkpoint.json`;

export const auditCommand: Command = {
  name: "audit",
  summary: "verify and export the journal, sign checkpoints of it",
  usage,
  run: runAudit,
};

interface Values {
  owner?: string | undefined;
  checkpoint?: string | undefined;
  "public-key"?: string | undefined;
  json: boolean;
}

async function runAudit(args: string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      owner: { type: "string" },
      checkpoint: { type: "string" },
      "public-key": { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const [verb, file, ...rest] = positionals;
  assertUsage(verb, values, rest.length > 0 || (file !== undefined && verb !== "verify"));
  try {
    return await runVerb(verb, file, values, io);
  } catch (error) {
    // What somebody handed us is at fault, and the message says where.
    if (!(error instanceof ExportError || error instanceof CheckpointRefused)) throw error;
    io.stderr.write(`audit: ${error.message}\n`);
    return 1;
  }
}

function assertUsage(verb: string | undefined, values: Values, hasMore: boolean): void {
  if (hasMore || !["verify", "export", "checkpoint"].includes(verb ?? "")) {
    throw new UsageError("expected verify [file], export, or checkpoint");
  }
  const { owner, checkpoint } = values;
  if (owner !== undefined && !isOwnerId(owner)) {
    throw new UsageError("--owner must be 1 to 255 characters");
  }
  if (verb !== "verify" && checkpoint !== undefined) {
    throw new UsageError("--checkpoint is for verify");
  }
  if (checkpoint === undefined && values["public-key"] !== undefined) {
    throw new UsageError("--public-key goes with --checkpoint");
  }
}

async function runVerb(
  verb: string | undefined,
  file: string | undefined,
  values: Values,
  io: CommandIo,
): Promise<number> {
  const ownerId = values.owner ?? null;
  const checkpoint = readCheckpoint(values);
  if (file !== undefined) {
    return printVerdict(await verifyFile(file, { ownerId, checkpoint }), io, values.json);
  }
  const desk = await openAuditDesk(loadConfig(io.env));
  try {
    if (verb === "export") return await printExport(desk, ownerId, io);
    if (verb === "verify") {
      return printVerdict(await desk.verify(ownerId, checkpoint), io, values.json);
    }
    io.stdout.write(`${JSON.stringify(await desk.checkpoint(ownerId))}\n`);
    return 0;
  } finally {
    await desk.close();
  }
}

async function printExport(desk: AuditDesk, ownerId: string | null, io: CommandIo) {
  const { stdout } = io;
  const decoder = new TextDecoder();
  for await (const part of desk.export(ownerId)) {
    const text = typeof part === "string" ? part : decoder.decode(part, { stream: true });
    // A slow reader is waited for: a journal need not fit into memory.
    if (stdout.write(text) === false && stdout instanceof EventEmitter) await once(stdout, "drain");
  }
  return 0;
}

/** The checkpoint is no witness: not signed, or not for what is verified. */
class CheckpointRefused extends Error {}

function readCheckpoint({ checkpoint: path, owner, ...values }: Values): Checkpoint | null {
  if (path === undefined) return null;
  const checkpoint = parsed(path);
  if (!isSoundlySigned(checkpoint)) {
    throw new CheckpointRefused("the checkpoint was changed after it was signed");
  }
  const expected = values["public-key"];
  if (expected !== undefined && expected !== checkpoint.key) {
    throw new CheckpointRefused(`the checkpoint is signed by ${checkpoint.key}, not ${expected}`);
  }
  if (checkpoint.owner_id === null && owner !== undefined) {
    throw new CheckpointRefused("the checkpoint is of everybody's chains: leave --owner out");
  }
  if (checkpoint.owner_id !== null && owner !== undefined && owner !== checkpoint.owner_id) {
    const of = JSON.stringify(checkpoint.owner_id);
    throw new CheckpointRefused(`the checkpoint is of the owner ${of}`);
  }
  return checkpoint;
}

function parsed(path: string): Checkpoint {
  try {
    return parseCheckpoint(readFileSync(path, "utf8"));
  } catch (error) {
    throw new CheckpointRefused(`${path}: ${error instanceof Error ? error.message : error}`);
  }
}
