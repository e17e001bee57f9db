import type { KeyUse } from "../../store/key-rotation.ts";
import type { CommandIo } from "../command.ts";
import type { KeyRoom } from "./key-room.ts";

interface KeyLine {
  key_id: string;
  /** `unknown`: in no setting, so that nothing can read these rows. */
  role: "current" | "old" | "unknown";
  emails: number;
  answers: number;
  webhooks: number;
}

/** What each key still opens; 1 when a key is missing that something is stored under. */
export async function showKeyUse(
  room: KeyRoom,
  { stdout }: CommandIo,
  json: boolean,
): Promise<number> {
  const use = await room.rotation.inUse();
  const keys = linesOf(room, use);
  const shredded = use.emails.none ?? 0;
  if (json) stdout.write(`${JSON.stringify({ keys, shredded })}\n`);
  else stdout.write(wordsOf(keys, shredded));
  return keys.some(({ role }) => role === "unknown") ? 1 : 0;
}

function linesOf({ keyRing }: KeyRoom, use: KeyUse): KeyLine[] {
  const found = Object.values(use)
    .flatMap((counts: Record<string, number>) => Object.keys(counts))
    .filter((id) => id !== "none");
  const ids = new Set([keyRing.currentKeyId, ...keyRing.oldKeyIds, ...found.sort()]);
  const roleOf = (id: string) => {
    if (id === keyRing.currentKeyId) return "current";
    return keyRing.oldKeyIds.includes(id) ? "old" : "unknown";
  };
  return [...ids].map((id) => ({
    key_id: id,
    role: roleOf(id),
    emails: use.emails[id] ?? 0,
    answers: use.answers[id] ?? 0,
    webhooks: use.webhooks[id] ?? 0,
  }));
}

const meaning = {
  current: "ENCRYPTION_KEY",
  old: "of ENCRYPTION_KEYS_OLD",
  unknown: "in no setting: nothing can decrypt these",
};

function wordsOf(keys: KeyLine[], shredded: number): string {
  const lines = keys.map(
    ({ key_id, role, emails, answers, webhooks }) =>
      `${key_id}  ${role.padEnd(7)}  ${emails} emails, ${answers} stored answers, ${webhooks} webhooks  (${meaning[role]})\n`,
  );
  return [...lines, ...(shredded > 0 ? [`${shredded} emails were shredded\n`] : [])].join("");
}
