import type { Config } from "../../config.ts";
import { createSigningKey } from "../../crypto/signing-key.ts";
import { ndjsonType } from "../../http/audit/list-audit.ts";
import type { verdictAnswer } from "../../http/audit/verify-audit.ts";
import { checkJournal } from "../../journal/check-journal.ts";
import { type Checkpoint, isSoundlySigned, signCheckpoint } from "../../journal/checkpoint.ts";
import { openExport } from "../../journal/export.ts";
import { exportJournal } from "../../journal/export-journal.ts";
import {
  brokenStart,
  type JournalVerdict,
  verifyJournal,
  witnessOf,
} from "../../journal/verify-journal.ts";
import { openDatabase, secretsOf } from "../../server/parts.ts";
import { readServerFile } from "../../server/server-file.ts";
import { createAudit } from "../../store/audit.ts";
import type { Database } from "../../store/database.ts";
import { FolderInUseError } from "../../store/folder-lock.ts";
import { operator } from "../operator.ts";
import { connectHere } from "../remote/connect.ts";
import { streamFromServer, tokenForServer } from "../server-request.ts";

/** Where the journal is asked: the database itself, or the server that has it. */
export interface AuditDesk {
  verify(ownerId: string | null, checkpoint: Checkpoint | null): Promise<JournalVerdict>;
  checkpoint(ownerId: string | null): Promise<Checkpoint>;
  /** NDJSON. */
  export(ownerId: string | null): AsyncIterable<Uint8Array | string>;
  close(): Promise<void>;
}

/** The embedded database, while a server has it, is reached through that server. */
export async function openAuditDesk(config: Config): Promise<AuditDesk> {
  try {
    return deskOf(await openDatabase(config), config);
  } catch (error) {
    if (!(error instanceof FolderInUseError)) throw error;
    const server = readServerFile(config.dataDir);
    if (server === null) throw error;
    return deskAt(server.url, config);
  }
}

function deskOf(database: Database, config: Config): AuditDesk {
  const audit = createAudit(database);
  return {
    verify: (ownerId, checkpoint) => checkJournal(audit, { ownerId, checkpoint, as: operator }),
    async checkpoint(ownerId) {
      const key = createSigningKey({ ...config, ...secretsOf(config) });
      return signCheckpoint(await audit.state(ownerId, operator), ownerId, key);
    },
    export: (ownerId) => exportJournal(audit, ownerId === null ? {} : { ownerId }, operator),
    close: () => database.close(),
  };
}

function deskAt(serverUrl: string, config: Config): AuditDesk {
  const mailer = connectHere(config, serverUrl, operator);
  const of = (ownerId: string | null) => (ownerId === null ? {} : { query: { owner_id: ownerId } });
  // The typed client answers whole bodies, and an export may be larger than memory.
  async function* exported(ownerId: string | null) {
    const url = new URL("/api/v1/audit", serverUrl);
    if (ownerId !== null) url.searchParams.set("owner_id", ownerId);
    const token = await tokenForServer(config, operator);
    yield* streamFromServer({ url, token, accept: ndjsonType });
  }
  return {
    async verify(ownerId, checkpoint) {
      // The server holds the entries against the database's heads; what it hands out is verified
      // here once more, so that its word alone decides nothing.
      const { data: word } = await mailer.verifyAudit(of(ownerId));
      if (!word.ok) return verdictOf(word as ReturnType<typeof verdictAnswer>);
      const stored = ownerId === null ? await listedCheckpoints(mailer) : [];
      const { start, entries } = await openExport(exported(ownerId));
      if (start && start.ownerId !== ownerId) {
        return { ok: false, checked: 0, broken: brokenStart(start) };
      }
      const kept = stored.filter(({ position }) => position >= (start?.position ?? 0));
      const states = [...kept, ...(checkpoint === null ? [] : [checkpoint])].map(witnessOf);
      const isWhole = ownerId === null;
      const verdict = await verifyJournal(entries, { start, states, isWhole });
      const keys = [...new Set(kept.map(({ key }) => key))];
      return verdict.ok ? { ...verdict, checkpoints: { count: kept.length, keys } } : verdict;
    },
    checkpoint: async (ownerId) => (await mailer.getCheckpoint(of(ownerId))).data,
    export: exported,
    close: async () => {},
  };
}

/** What the server has stored; one that was changed after it was signed the server has named. */
async function listedCheckpoints(mailer: ReturnType<typeof connectHere>): Promise<Checkpoint[]> {
  const all: Checkpoint[] = [];
  let cursor: string | null = null;
  do {
    const query: { limit: number; cursor?: string } = { limit: 100, ...(cursor && { cursor }) };
    const { data, page } = await mailer.listCheckpoints({ query });
    all.push(...data.filter(isSoundlySigned));
    cursor = page?.next_cursor ?? null;
  } while (cursor !== null);
  return all;
}

function verdictOf(word: ReturnType<typeof verdictAnswer>): JournalVerdict {
  const { checked, first_broken: number, owner_id, position, reason } = word;
  const broken = {
    ownerId: owner_id ?? null,
    number,
    position: position ?? null,
    reason: reason ?? ("state" as const),
  };
  return { ok: false, checked, broken };
}
