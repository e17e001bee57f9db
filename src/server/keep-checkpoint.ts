import type { SigningKey } from "../crypto/signing-key.ts";
import { signCheckpoint } from "../journal/checkpoint.ts";
import type { CheckpointKeeper } from "../store/checkpoint-keeper.ts";
import type { MaintenanceResult } from "../store/maintenance.ts";

/** Signs what the journal holds now, and keeps it, unless nothing was sealed since the last time. */
export async function keepCheckpoint(
  keeper: CheckpointKeeper,
  key: SigningKey,
): Promise<MaintenanceResult> {
  const state = await keeper.state();
  const { position, chains } = state;
  if (position === 0) return { kept: 0, position, owners: chains };
  const text = JSON.stringify(signCheckpoint(state, null, key));
  const isKept = await keeper.keep(position, text);
  return { kept: Number(isKept), position, owners: chains };
}
