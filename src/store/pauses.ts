import { type Claims, type Database, partClaims } from "./database.ts";

/** What is paused: a whole region, or one owner's emails in every region. */
export interface PauseTarget {
  kind: "region" | "owner";
  /** The region's name, or the owner's id. */
  name: string;
}

export interface Pause extends PauseTarget {
  pausedAt: Date;
  /** The admin who asked for it. */
  pausedBy: string;
  reason: string;
}

/** The emergency stop. The database obeys it at every claim and fence. */
export interface Pauses {
  /** Answers the pause in force: an earlier one is left as it is. */
  pause(target: PauseTarget & { reason: string }, by: PauseCaller): Promise<Pause>;
  /** False: it was not paused. Without a reason the journal has none. */
  resume(target: PauseTarget & { reason?: string | null }, by: PauseCaller): Promise<boolean>;
  /** All that is paused, the oldest first. */
  list(): Promise<Pause[]>;
}

export interface PauseCaller {
  claims: Claims;
  /** The admin's network address, for the journal; null when unknown. */
  origin: string | null;
}

export function createPauses(database: Database): Pauses {
  return {
    async pause({ kind, name, reason }, { claims, origin }) {
      const args = { kind, name, reason, origin };
      return toPause((await database.rpc("pause_sending", args, claims)) as PauseJson);
    },
    async resume({ kind, name, reason = null }, { claims, origin }) {
      const args = { kind, name, reason, origin };
      const answer = await database.rpc("resume_sending", args, claims);
      return (answer as { was_paused: boolean }).was_paused;
    },
    async list() {
      const answer = await database.rpc("list_pauses", {}, partClaims("reconciler"));
      return (answer as PauseJson[]).map(toPause);
    },
  };
}

interface PauseJson extends PauseTarget {
  paused_at: string;
  paused_by: string;
  reason: string;
}

function toPause({ kind, name, paused_at, paused_by, reason }: PauseJson): Pause {
  return { kind, name, pausedAt: new Date(paused_at), pausedBy: paused_by, reason };
}
