import type { Config } from "../../config.ts";
import { pauseJson } from "../../http/pause-sending.ts";
import { FolderInUseError } from "../../store/folder-lock.ts";
import { createPauses, type PauseTarget } from "../../store/pauses.ts";
import { openDatabase } from "../parts.ts";
import { readServerFile } from "../server-file.ts";
import { askServer, tokenForServer } from "../server-request.ts";

/** A pause as the API's answers show it. */
export type PauseJson = Omit<ReturnType<typeof pauseJson>, "paused_at"> & { paused_at: string };
export type ResumeJson = PauseTarget & { was_paused: boolean };

/** Where sending is paused and resumed: the database itself, or the server that has it. */
export interface PauseDesk {
  /** Without a target: the region of the settings, or of the server that is asked. */
  pause(target: PauseTarget | null, reason: string): Promise<PauseJson>;
  resume(target: PauseTarget | null, reason: string | null): Promise<ResumeJson>;
  close(): Promise<void>;
}

/** How the journal names a person at the command line. */
const operator = { role: "admin", sub: "cli" } as const;

/** The embedded database, while a server has it, is reached through that server. */
export async function openPauseDesk(config: Config): Promise<PauseDesk> {
  try {
    const database = await openDatabase(config);
    const pauses = createPauses(database);
    const ownRegion = { kind: "region", name: config.region } as const;
    const by = { claims: operator, origin: null };
    return {
      async pause(asked, reason) {
        const pause = pauseJson(await pauses.pause({ ...(asked ?? ownRegion), reason }, by));
        return { ...pause, paused_at: pause.paused_at.toISOString() };
      },
      async resume(asked, reason) {
        const target = asked ?? ownRegion;
        return { ...target, was_paused: await pauses.resume({ ...target, reason }, by) };
      },
      close: () => database.close(),
    };
  } catch (error) {
    if (!(error instanceof FolderInUseError)) throw error;
    const server = readServerFile(config.dataDir);
    if (server === null) throw error;
    return deskAt(server.url, config);
  }
}

function deskAt(serverUrl: string, config: Config): PauseDesk {
  const ask = async (verb: string, target: PauseTarget | null, reason: string | null) => {
    const url = new URL(`/api/v1/${verb}`, serverUrl);
    const token = await tokenForServer(config, operator);
    const body = {
      ...(target && { [target.kind]: target.name }),
      ...(reason === null ? {} : { reason }),
    };
    return ((await askServer({ method: "POST", url, token, body })) as { data: unknown }).data;
  };
  return {
    pause: async (target, reason) => (await ask("pause", target, reason)) as PauseJson,
    resume: async (target, reason) => (await ask("resume", target, reason)) as ResumeJson,
    close: async () => {},
  };
}
