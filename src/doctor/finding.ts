import type { JwtSecrets } from "../auth/jwt.ts";
import type { Config } from "../config.ts";
import type { Database } from "../store/database.ts";
import type { Figures } from "../store/figures.ts";
import type { KeyIdentity } from "../store/presence.ts";

export type FindingStatus = "ok" | "warning" | "failed";

/** What one look at one part came to. */
export interface Finding {
  /** Short and stable, for programs and the table's first column. */
  check: string;
  status: FindingStatus;
  /** The observation in one sentence; no secrets. */
  saw: string;
  /** What a person can do about it; null when all is well. */
  advice: string | null;
}

/** What the checks look at. */
export interface Patient {
  config: Config;
  /** Open; null: the embedded database that no server has made yet. */
  database: Database | null;
  /** null: there are no secrets yet. */
  key: KeyIdentity | null;
  jwtSecrets: JwtSecrets;
}

/** One call's answer, and our own clock in the middle of it. */
export interface SeenFigures {
  figures: Figures;
  askedAt: Date;
}

export function ok(check: string, saw: string): Finding {
  return { check, status: "ok", saw, advice: null };
}

export function warning(check: string, saw: string, advice: string): Finding {
  return { check, status: "warning", saw, advice };
}

export function failed(check: string, saw: string, advice: string): Finding {
  return { check, status: "failed", saw, advice };
}

/** The innermost words of an error: what the driver or the system said, not what we made of it. */
export function reasonOf(error: unknown): string {
  let current = error;
  for (let depth = 0; depth < 5; depth++) {
    if (!(current instanceof Error) || current.cause === undefined) break;
    current = current.cause;
  }
  if (!(current instanceof Error)) return String(current);
  const code = "code" in current && typeof current.code === "string" ? current.code : "";
  return (current.message || code || current.name).split("\n")[0] ?? "";
}
