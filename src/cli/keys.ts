import { parseArgs } from "node:util";
import { loadConfig } from "../config.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { openKeyRoom } from "./keys/key-room.ts";
import { showKeyUse } from "./keys/show-key-use.ts";
import { turnKeys } from "./keys/turn-keys.ts";

const usage = `Usage: taskforce-mailer keys rotate [--batch <n>] [--json]
       taskforce-mailer keys status [--json]

rotate puts everything that is stored under the current ENCRYPTION_KEY; content is not touched.
First start every server with a new ENCRYPTION_KEY and with the former one in ENCRYPTION_KEYS_OLD;
then run rotate beside them; then take the former out. It may be killed and started again, and
several may run at once. In DATA_DIR, where the key is a generated one, rotate makes the new key
itself; the server there must be stopped for as long as it runs.

status counts the rows that each key still opens.

  --batch <n>   rows in one transaction, 1 to 1000 (default 200)
  --json        one line of JSON; rotate: one for each step, {"done": false, …}, and the last

Examples:
  taskforce-mailer keys status
  taskforce-mailer keys rotate --json`;

export const keysCommand: Command = {
  name: "keys",
  summary: "re-encrypt stored data with a new key",
  usage,
  run: runKeys,
};

const batchDefault = 200;
const batchMax = 1000;

async function runKeys(args: string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { batch: { type: "string" }, json: { type: "boolean", default: false } },
  });
  const { json } = values;
  const [verb, ...rest] = positionals;
  if ((verb !== "rotate" && verb !== "status") || rest.length > 0) {
    throw new UsageError("expected rotate or status");
  }
  if (verb === "status" && values.batch !== undefined) {
    throw new UsageError("--batch is for rotate");
  }
  const batch = batchOf(values.batch);
  const room = await openKeyRoom(loadConfig(io.env), { batch, isRotating: verb === "rotate" });
  try {
    return verb === "rotate"
      ? await turnKeys(room, io, { json })
      : await showKeyUse(room, io, json);
  } finally {
    await room.database.close();
  }
}

function batchOf(text: string | undefined): number {
  if (text === undefined) return batchDefault;
  const batch = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (batch >= 1 && batch <= batchMax) return batch;
  throw new UsageError(`--batch must be a whole number from 1 to ${batchMax}, got ${text}`);
}
