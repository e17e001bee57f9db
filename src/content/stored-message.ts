import type { DataKey } from "../crypto/key-ring.ts";

/** A composed message as it is stored: ciphertext, and the size that it has in clear. */
export interface StoredMessage {
  message: Uint8Array;
  messageBytes: number;
}

const column = "message";
/** A compressed message decrypts under this name only, and nothing else does. */
const packedColumn = "message/zstd";
/** Bytes that AES-GCM adds: nonce and tag. */
const sealBytes = 28;
const packedMin = 512;
/** Larger ones are attachments mostly, which are compressed as they come. */
const packedMax = 256 * 1024;

/**
 * Compressed where that makes it smaller: ciphertext does not compress, so whatever stores and
 * copies it, a database and its log, its replicas and its backups, would carry all of it. That it
 * was compressed is seen by its size, which no message has that was not.
 */
export async function encryptMessage(dataKey: DataKey, message: Uint8Array): Promise<Uint8Array> {
  if (message.length >= packedMin && message.length <= packedMax) {
    // On another thread: here it would be an eighth of what accepting an email takes.
    const packed = await Bun.zstdCompress(message as Uint8Array<ArrayBuffer>, { level: 1 });
    if (packed.length < message.length) return dataKey.encryptBytes(packed, packedColumn);
  }
  return dataKey.encryptBytes(message, column);
}

/** Throws `DecryptError` when it is no message of this email. */
export function decryptMessage(
  dataKey: DataKey,
  { message: ciphertext, messageBytes }: StoredMessage,
): Uint8Array {
  if (ciphertext.length >= messageBytes + sealBytes) {
    return dataKey.decryptBytes(ciphertext, column);
  }
  // What opens is what we compressed: its size needs no bound.
  return Bun.zstdDecompressSync(dataKey.decryptBytes(ciphertext, packedColumn));
}
