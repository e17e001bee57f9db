import type { RotationProgress, RotationReport } from "../../content/rotate-keys.ts";
import { rotateKeys } from "../../content/rotate-keys.ts";
import { wrongKeyWords } from "../../server/prepare-database.ts";
import { createActions } from "../../store/actions.ts";
import type { CommandIo } from "../command.ts";
import { operator } from "../operator.ts";
import type { KeyRoom } from "./key-room.ts";

/** Rotates, tells how far it is, and leaves word in the journal. */
export async function turnKeys(
  room: KeyRoom,
  io: CommandIo,
  { json }: { json: boolean },
): Promise<number> {
  const refusal = await refusalOf(room);
  if (refusal !== null) {
    io.stderr.write(`keys: ${refusal}\n`);
    return 1;
  }
  const { keyRing, rotation } = room;
  const report = await rotateKeys({ keyRing, rotation, onProgress: progressTo(io, json) });
  await record(room, report);
  if (report.unreadable === 0) room.forgetFormer();
  tell(io, json, keyRing.currentKeyId, report);
  return report.unreadable === 0 ? 0 : 1;
}

/** Null: it may begin. */
async function refusalOf({ config, keyRing, rotation }: KeyRoom): Promise<string | null> {
  // Under the folder's lock there is no other process.
  const processes = config.database.driver === "pglite" ? [] : await rotation.processes();
  const others = processes.filter(({ keyId }) => keyId !== keyRing.currentKeyId);
  const count = others.reduce((sum, { count: n }) => sum + n, 0);
  if (count > 0) {
    const names = others.map(({ keyId }) => keyId ?? "one it does not name").join(", ");
    return (
      `${count} running process${count === 1 ? " writes" : "es write"} with another key (${names}): ` +
      "start every server with the new ENCRYPTION_KEY and with the former one in " +
      "ENCRYPTION_KEYS_OLD first. One that was killed counts for 15 seconds. Nothing was changed."
    );
  }
  return (await rotation.checkKey(keyRing)) ? null : wrongKeyWords(config.database);
}

async function record({ database, keyRing }: KeyRoom, report: RotationReport): Promise<void> {
  const detail = {
    key_id: keyRing.currentKeyId,
    emails: String(report.emails),
    answers: String(report.answers),
    unreadable: String(report.unreadable),
  };
  const action = { action: "encryption.rotated", detail, origin: null } as const;
  await createActions(database).record(action, operator);
}

function progressTo({ stdout, stderr, isTty }: CommandIo, json: boolean) {
  return ({ scanned, emails, answers }: RotationProgress): void => {
    if (json) stdout.write(`${JSON.stringify({ done: false, scanned, emails, answers })}\n`);
    else if (isTty) stderr.write(`\r${scanned} rows looked at, ${emails + answers} rotated`);
  };
}

function tell(
  { stdout, stderr, isTty }: CommandIo,
  json: boolean,
  keyId: string,
  { emails, answers, unreadable, unreadableEmails }: RotationReport,
): void {
  if (json) {
    const counts = { emails, answers, unreadable, unreadable_emails: unreadableEmails };
    stdout.write(`${JSON.stringify({ done: true, key_id: keyId, ...counts })}\n`);
    return;
  }
  if (isTty) stderr.write("\n");
  stdout.write(`${emails} emails and ${answers} stored answers now use key ${keyId}.\n`);
  if (unreadable === 0) {
    stdout.write("No data uses an old key any more. You can remove it from ENCRYPTION_KEYS_OLD.\n");
    return;
  }
  const ids = unreadableEmails.length === 0 ? "" : ` Emails: ${unreadableEmails.join(", ")}`;
  stderr.write(
    `keys: ${unreadable} rows do not open under any key there is and stayed as they are; ` +
      `\`taskforce-mailer keys status\` names the keys.${ids}\n`,
  );
}
