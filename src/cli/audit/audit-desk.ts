import type { Config } from "../../config.ts";
import { createSigningKey } from "../../crypto/signing-key.ts";
import { ndjsonType } from "../../http/list-audit.ts";
import type { verdictAnswer } from "../../http/verify-audit.ts";
import { checkJournal, witnessOf } from "../../journal/check-journal.ts";
import { type Checkpoint, signCheckpoint } from "../../journal/checkpoint.ts";
import { exportLine, readExport } from "../../journal/export.ts";
import { readJournal } from "../../journal/read-journal.ts";
import { type JournalVerdict, verifyJournal } from "../../journal/verify-journal.ts";
import { createAudit } from "../../store/audit.ts";
import type { Claims, Database } from "../../store/database.ts";
import { FolderInUseError } from "../../store/folder-lock.ts";
import { openDatabase, secretsOf } from "../parts.ts";
import { readServerFile } from "../server-file.ts";
import { askServer, streamFromServer, tokenForServer } from "../server-request.ts";

/** Where the journal is asked: the database itself, or the server that has it. */
export interface AuditDesk {
  verify(ownerId: string | null, checkpoint: Checkpoint | null): Promise<JournalVerdict>;
  checkpoint(ownerId: string | null): Promise<Checkpoint>;
  /** NDJSON. */
  export(ownerId: string | null): AsyncIterable<Uint8Array | string>;
  close(): Promise<void>;
}

/** How the journal and the server know a person at the command line. */
const operator: Claims = { role: "admin", sub: "cli" };

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
    async *export(ownerId) {
      const filter = ownerId === null ? {} : { ownerId };
      for await (const page of readJournal(audit, filter, operator)) {
        yield page.map(exportLine).join("");
      }
    },
    close: () => database.close(),
  };
}

function deskAt(serverUrl: string, config: Config): AuditDesk {
  const urlOf = (path: string, ownerId: string | null): URL => {
    const url = new URL(`/api/v1/audit${path}`, serverUrl);
    if (ownerId !== null) url.searchParams.set("owner_id", ownerId);
    return url;
  };
  const token = () => tokenForServer(config, { sub: operator.sub, role: "admin" });
  const ask = async (path: string, ownerId: string | null) => {
    const asked = { method: "GET", url: urlOf(path, ownerId), token: await token() };
    return ((await askServer(asked)) as { data: unknown }).data;
  };
  async function* exported(ownerId: string | null) {
    const asked = { url: urlOf("", ownerId), token: await token(), accept: ndjsonType };
    yield* streamFromServer(asked);
  }
  return {
    async verify(ownerId, checkpoint) {
      // The server holds the entries against the database's heads; what it hands out is verified
      // here once more, so that its word alone decides nothing.
      const word = (await ask("/verify", ownerId)) as ReturnType<typeof verdictAnswer>;
      if (!word.ok) return verdictOf(word);
      const states = checkpoint === null ? [] : [witnessOf(checkpoint)];
      const isWhole = ownerId === null;
      return verifyJournal(readExport(exported(ownerId)), { states, isWhole });
    },
    checkpoint: async (ownerId) => (await ask("/checkpoint", ownerId)) as Checkpoint,
    export: exported,
    close: async () => {},
  };
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
