import type { Claims, Database } from "./database.ts";

/** What an admin did to the program; what happens to emails is not recorded here. */
export interface AdminAction {
  action:
    | "encryption.rotated"
    | "token.secret_rotated"
    | "token.secret_forgotten"
    | "maintenance.run_now";
  /** Names, states and counts; never content. */
  detail: Record<string, string>;
  /** From where: the admin's network address; null when unknown. */
  origin: string | null;
}

/** Journal entries about what admins do; each belongs to the admin of the claims. */
export interface Actions {
  record(action: AdminAction, as: Claims): Promise<void>;
}

export function createActions(database: Database): Actions {
  return {
    async record({ action, detail, origin }, as) {
      await database.rpc("record_action", { action, detail, origin }, as);
    },
  };
}
