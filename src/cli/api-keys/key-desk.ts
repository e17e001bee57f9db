import { createApiKey } from "../../auth/api-key.ts";
import type { Scope } from "../../auth/principal.ts";
import type { Config } from "../../config.ts";
import { apiKeyAnswer } from "../../http/credentials/api-key-answer.ts";
import { openDatabase } from "../../server/parts.ts";
import { readServerFile } from "../../server/server-file.ts";
import { createApiKeys } from "../../store/api-keys.ts";
import type { Claims, Database } from "../../store/database.ts";
import { FolderInUseError } from "../../store/folder-lock.ts";
import type { ListCursor } from "../../store/stored-email.ts";
import { connectHere } from "../remote/connect.ts";

/** A key as the API's answers show it. */
export type KeyJson = {
  [Name in keyof ReturnType<typeof apiKeyAnswer>]: ReturnType<
    typeof apiKeyAnswer
  >[Name] extends Date | null
    ? string | null
    : ReturnType<typeof apiKeyAnswer>[Name];
};

export interface NewKey {
  name: string;
  scopes: Scope[];
  /** null: never; undefined: in a year. */
  expiresAt: Date | null | undefined;
}

/** Where keys are made, shown and revoked: the database itself, or the server that has it. */
export interface KeyDesk {
  create(key: NewKey, as: Claims): Promise<KeyJson & { key: string }>;
  list(as: Claims): Promise<KeyJson[]>;
  /** null: there is none the claims may see. */
  revoke(id: string, as: Claims): Promise<KeyJson | null>;
  close(): Promise<void>;
}

const pageSize = 100;
const refusals = {
  too_many: "There are 100 keys that count already: revoke one first.",
  expired: "--expires must be a time in the future.",
};

/** The embedded database, while a server has it, is reached through that server. */
export async function openKeyDesk(config: Config): Promise<KeyDesk> {
  try {
    return deskOf(await openDatabase(config));
  } catch (error) {
    if (!(error instanceof FolderInUseError)) throw error;
    const server = readServerFile(config.dataDir);
    if (server === null) throw error;
    return deskAt(server.url, config);
  }
}

export function deskOf(database: Database): KeyDesk {
  const keys = createApiKeys(database);
  const origin = null;
  return {
    create: async (asked, as) => {
      const { key, prefix, hash } = createApiKey();
      const id = Bun.randomUUIDv7();
      const made = { id, prefix, hash, origin, madeBy: null };
      const created = await keys.create({ ...asked, ...made }, as);
      if (created.kind !== "created") throw new Error(refusals[created.kind]);
      return { ...toJson(apiKeyAnswer(created.key)), key };
    },
    list: async (as) => {
      const all: KeyJson[] = [];
      let cursor: ListCursor | null = null;
      do {
        const page = await keys.list({ limit: pageSize, offset: null, cursor }, as);
        all.push(...page.keys.map((key) => toJson(apiKeyAnswer(key))));
        cursor = page.next;
      } while (cursor !== null);
      return all;
    },
    revoke: async (id, as) => {
      const revoked = await keys.revoke(id, as, origin);
      return revoked && toJson(apiKeyAnswer(revoked));
    },
    close: () => database.close(),
  };
}

function toJson(answer: ReturnType<typeof apiKeyAnswer>): KeyJson {
  return JSON.parse(JSON.stringify(answer));
}

function deskAt(serverUrl: string, config: Config): KeyDesk {
  const mailerAs = ({ role, sub }: Claims) =>
    connectHere(config, serverUrl, role === "admin" ? { sub, role } : { sub });
  return {
    create: async ({ expiresAt, ...asked }, as) => {
      const end = expiresAt === null ? "never" : expiresAt?.toISOString();
      const body = { ...asked, ...(end === undefined ? {} : { expires_at: end }) };
      return (await mailerAs(as).createApiKey({ body })).data;
    },
    list: (as) => Array.fromAsync(mailerAs(as).each("listApiKeys", { query: { limit: pageSize } })),
    revoke: async (id, as) => (await mailerAs(as).revokeApiKey({ path: { id } })).data,
    close: async () => {},
  };
}
