import { createHash } from "node:crypto";
import { checkSignature, type SigningKey } from "../crypto/signing-key.ts";
import type { JournalState } from "../store/audit.ts";
import type { ChainHead } from "../store/journal.ts";

export const checkpointType = "taskforce-mailer/checkpoint/v1";

/**
 * A signed word on what the journal held at one moment, to be kept elsewhere: a journal that was
 * cut off or rewritten below it no longer comes to the same root. It names nobody but the owner
 * it was asked for, so it may be shown to anybody.
 */
export interface Checkpoint extends JournalState {
  type: typeof checkpointType;
  /** The owner of the chain; null: everybody's. */
  owner_id: string | null;
  /** Public key, base64 of 32 bytes (RFC 8032). */
  key: string;
  /** Ed25519 over `signedText`, base64. */
  signature: string;
}

/**
 * SHA-256 over the heads of all chains, each as sha256(owner) ‖ number (8 bytes, big endian) ‖
 * hash, in order of the first. Fixed widths, so no two sets of heads give the same bytes. The
 * same as the SQL function `journal_state` computes.
 */
export function rootOf(heads: ReadonlyMap<string, ChainHead>): string {
  const lines = [...heads].map(([ownerId, { number, hash }]) => {
    const line = Buffer.alloc(72);
    createHash("sha256").update(ownerId).digest().copy(line);
    line.writeBigInt64BE(BigInt(number), 32);
    line.write(hash, 40, "hex");
    return line;
  });
  const root = createHash("sha256");
  for (const line of lines.sort(Buffer.compare)) root.update(line);
  return root.digest("hex");
}

export function signCheckpoint(
  state: JournalState,
  ownerId: string | null,
  { publicKey, sign }: SigningKey,
): Checkpoint {
  const { at, position, chains, root } = state;
  const said = { type: checkpointType, at, owner_id: ownerId, position, chains, root } as const;
  return { ...said, key: publicKey, signature: sign(signedText(said)) };
}

/** Whether its own key signed it; whether that key is trusted is for whoever asks. */
export function isSoundlySigned(checkpoint: Checkpoint): boolean {
  const { key, signature } = checkpoint;
  return checkSignature(signedText(checkpoint), signature, key);
}

/** One value a line; JSON of the owner, so that no owner can write a line of its own. */
function signedText(said: Omit<Checkpoint, "key" | "signature">): string {
  const { type, at, owner_id, position, chains, root } = said;
  return `${[type, at, JSON.stringify(owner_id), position, chains, root].join("\n")}\n`;
}

/** Throws, in words for people, unless the text is a checkpoint; its signature is not judged. */
export function parseCheckpoint(text: string): Checkpoint {
  let read: Record<string, unknown>;
  try {
    read = Object(JSON.parse(text));
  } catch {
    // The parser's words tell nobody what to do.
    throw new Error("expected a checkpoint as `audit checkpoint` prints it, got no JSON");
  }
  // As the API answers it, too.
  const { type, at, owner_id, position, chains, root, key, signature } = Object(read.data ?? read);
  const isOne =
    type === checkpointType &&
    (owner_id === null || typeof owner_id === "string") &&
    [position, chains].every((count) => Number.isSafeInteger(count) && count >= 0) &&
    [at, root, key, signature].every((word) => typeof word === "string");
  if (!isOne) throw new Error("expected a checkpoint as `audit checkpoint` prints it, got another");
  return { type, at, owner_id, position, chains, root, key, signature };
}
