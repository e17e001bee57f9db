import { createSigningKey } from "../../crypto/signing-key.ts";
import { checkJournal } from "../../journal/check-journal.ts";
import { openExport } from "../../journal/export.ts";
import { exportJournal } from "../../journal/export-journal.ts";
import { verifyJournal } from "../../journal/verify-journal.ts";
import { createLogger } from "../../log.ts";
import { dropJournal } from "../../server/drop-journal.ts";
import { keepCheckpoint } from "../../server/keep-checkpoint.ts";
import { verifySteadily } from "../../server/verify-steadily.ts";
import { createAudit } from "../../store/audit.ts";
import { createChainParts } from "../../store/chain-parts.ts";
import { createCheckpointKeeper } from "../../store/checkpoint-keeper.ts";
import { type Claims, type Database, partClaims } from "../../store/database.ts";
import { createJournal } from "../../store/journal.ts";
import { createMaintenance } from "../../store/maintenance.ts";
import { adminClaims } from "../fixtures/new-email.ts";
import type { DirectSql } from "../servers/direct-sql.ts";

const region = "local";
export const checkpointKey = createSigningKey({
  auditSigningKey: null,
  encryptionKey: "ab".repeat(32),
});

/** One step as the database answers it. */
export interface DropAnswer {
  dropped: number;
  position: number;
  drop_to: number;
  is_waiting: boolean;
  is_held: boolean;
  candidate: { position: number } | null;
  refused: string | null;
}

/** A journal whose entries are written by hand, and what is done with it over the years. */
export function createShortJournal(database: Database, sql: DirectSql) {
  const audit = createAudit(database);

  async function seal(): Promise<void> {
    while ((await createJournal(database).seal(500)).hasMore);
  }

  return {
    audit,
    seal,
    async write(owners: readonly string[]): Promise<void> {
      await sql.query(
        `insert into mailer.journal (owner_id, actor, action)
         select o, 'test', 'test.entry' from json_array_elements_text($1::json) o`,
        [JSON.stringify(owners)],
      );
      await seal();
    },
    /** Resolves to its position. */
    async keep(): Promise<number> {
      const keeper = createCheckpointKeeper(database, { region });
      return (await keepCheckpoint(keeper, checkpointKey)).position ?? 0;
    },
    /** Checkpoints become so many days older. */
    async age(days: number): Promise<void> {
      await sql.query("alter table mailer.checkpoints disable trigger user");
      await sql.query(
        "update mailer.checkpoints set made_at = made_at - $1::integer * interval '1 day'",
        [days],
      );
      await sql.query("alter table mailer.checkpoints enable trigger user");
    },
    /** A run of the periodic work, which waits for the sealer, and what it logged. */
    async drop(days: number | null) {
      const lines: Record<string, unknown>[] = [];
      const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
      const log = createLogger({ level: "error", stream, isForPeople: false });
      const maintenance = createMaintenance(database, { workerId: crypto.randomUUID(), region });
      const result = await dropJournal({ maintenance, days, log, pause: seal });
      const { dropped = 0 } = result;
      return { ...result, dropped, lines };
    },
    async step(args: { days: number | null; to: number | null; limit: number }) {
      const claims = partClaims("maintenance", region);
      return (await database.rpc("drop_journal", args, claims)) as DropAnswer;
    },
    check: (ownerId: string | null = null, as: Claims = adminClaims) =>
      checkJournal(audit, { ownerId, as }),
    /** From its beginning to its end, in parts. */
    async verifySteadily(partSize = 3) {
      await sql.query("delete from mailer.settings where name = 'journal_verified_to'");
      const log = createLogger({ level: "silent" });
      const chainParts = createChainParts(database, { region });
      const limits = { partSize, partsMax: 1_000_000 };
      return await verifySteadily({ chainParts, log, pause: async () => {}, limits });
    },
    export: async (ownerId: string | null = null, as: Claims = adminClaims) =>
      (await Array.fromAsync(exportJournal(audit, ownerId === null ? {} : { ownerId }, as))).join(
        "",
      ),
  };
}

export type ShortJournal = ReturnType<typeof createShortJournal>;

/** Without any database, as `audit verify <file>` does. */
export async function verifyText(text: string) {
  async function* chunks() {
    yield Buffer.from(text);
  }
  const { start, entries } = await openExport(chunks());
  return await verifyJournal(entries, { start, isWhole: start?.ownerId === null });
}
