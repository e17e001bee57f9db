import type { Config } from "../../config.ts";
import type { KeyRing } from "../../crypto/key-ring.ts";
import { beginRotation, endRotation } from "../../crypto/secrets.ts";
import { keyRingOf, openDatabase, secretsOf } from "../../server/parts.ts";
import type { Database } from "../../store/database.ts";
import { FolderInUseError } from "../../store/folder-lock.ts";
import { createKeyRotation, type KeyRotation } from "../../store/key-rotation.ts";

/** The keys and what they open, in one place. */
export interface KeyRoom {
  config: Config;
  database: Database;
  keyRing: KeyRing;
  rotation: KeyRotation;
  /** Nothing is left that a former key opens: one that was generated is forgotten. */
  forgetFormer(): void;
}

export interface KeyRoomOptions {
  /** Rows in one transaction. */
  batch: number;
  /** A generated key is replaced by another one. */
  isRotating: boolean;
}

/** Opens the database; the embedded one only while no server has it, whose memory holds its key. */
export async function openKeyRoom(
  config: Config,
  { batch, isRotating }: KeyRoomOptions,
): Promise<KeyRoom> {
  const database = await openDatabase(config).catch((error: unknown) => {
    if (!(error instanceof FolderInUseError)) throw error;
    throw new Error(
      `keys: a server has ${config.dataDir}: stop it first, and start it afterwards.`,
    );
  });
  try {
    // Under the folder's lock, which the open database holds.
    const isGenerated = config.database.driver === "pglite" && config.encryptionKey === null;
    const stored = isGenerated && isRotating ? beginRotation(config.dataDir) : secretsOf(config);
    return {
      config,
      database,
      keyRing: keyRingOf(config, stored),
      rotation: createKeyRotation(database, { batch }),
      forgetFormer: () => (isGenerated ? endRotation(config.dataDir) : undefined),
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}
