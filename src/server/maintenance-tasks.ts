import type { Config } from "../config.ts";
import type { SigningKey } from "../crypto/signing-key.ts";
import type { Logger } from "../log.ts";
import type { ChainParts } from "../store/chain-parts.ts";
import type { CheckpointKeeper } from "../store/checkpoint-keeper.ts";
import type { Maintenance } from "../store/maintenance.ts";
import type { Presence } from "../store/presence.ts";
import { checkCounts } from "./check-counts.ts";
import { dropJournal } from "./drop-journal.ts";
import { forgetAll } from "./forget-all.ts";
import { keepCheckpoint } from "./keep-checkpoint.ts";
import type { MaintenanceTask } from "./maintenance.ts";
import { type RetentionCursors, runRetention } from "./retention.ts";
import { verifySteadily } from "./verify-steadily.ts";

export interface TaskDeps {
  config: Pick<Config, "retention">;
  maintenance: Pick<Maintenance, "shredOld" | "dropOld" | "dropJournal" | "forget" | "checkCounts">;
  presence: Pick<Presence, "forgetIdempotent">;
  chainParts: ChainParts;
  checkpoints: CheckpointKeeper;
  checkpointKey: SigningKey;
  log: Logger;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** The periodic work, by the names that Bull Board and `mailer.maintenance` have. */
export function maintenanceTasks(deps: TaskDeps): MaintenanceTask[] {
  const { config, maintenance, presence, chainParts, log } = deps;
  const cursors: RetentionCursors = { shred: null, drop: null };
  return [
    {
      name: "retention",
      everyMs: 10 * minuteMs,
      run: (pause) => runRetention({ maintenance, days: config.retention, pause }, cursors),
    },
    {
      name: "idempotency-keys",
      everyMs: minuteMs,
      run: async () => ({ looked_at: await presence.forgetIdempotent() }),
    },
    {
      name: "counts",
      everyMs: 10 * minuteMs,
      run: (pause) => checkCounts({ maintenance, log, pause }),
      news: ["repaired"],
    },
    {
      name: "verification",
      everyMs: 10 * minuteMs,
      run: (pause) => verifySteadily({ chainParts, log, pause }),
      news: ["broken"],
    },
    {
      name: "checkpoints",
      everyMs: 24 * hourMs,
      run: () => keepCheckpoint(deps.checkpoints, deps.checkpointKey),
      news: ["kept"],
    },
    {
      name: "journal",
      everyMs: 10 * minuteMs,
      run: (pause) => dropJournal({ maintenance, days: config.retention.journalDays, log, pause }),
      news: ["dropped", "refused"],
    },
    {
      name: "webhook-deliveries",
      everyMs: minuteMs,
      run: (pause) => forgetAll(maintenance, "webhook_deliveries", pause),
    },
    { name: "minutes", everyMs: hourMs, run: (pause) => forgetAll(maintenance, "minutes", pause) },
    {
      name: "sessions",
      everyMs: hourMs,
      run: (pause) => forgetAll(maintenance, "sessions", pause),
    },
  ];
}
