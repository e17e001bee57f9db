import type { Config } from "../../config.ts";
import { pauseJson, resumedRestoredJson } from "../../http/operations/pause-sending.ts";
import { openDatabase } from "../../server/parts.ts";
import { readServerFile } from "../../server/server-file.ts";
import { FolderInUseError } from "../../store/folder-lock.ts";
import { createPauses, type PauseTarget, type RestoredDecision } from "../../store/pauses.ts";
import { operator } from "../operator.ts";
import { connectHere } from "../remote/connect.ts";

/** A pause as the API's answers show it. */
export type PauseJson = Omit<ReturnType<typeof pauseJson>, "paused_at"> & { paused_at: string };
export type ResumeJson = PauseTarget & { was_paused: boolean };
export type ResumeRestoredJson = ReturnType<typeof resumedRestoredJson>;

/** Where sending is paused and resumed: the database itself, or the server that has it. */
export interface PauseDesk {
  /** Without a target: the region of the settings, or of the server that is asked. */
  pause(target: PauseTarget | null, reason: string): Promise<PauseJson>;
  resume(target: PauseTarget | null, reason: string | null): Promise<ResumeJson>;
  resumeRestored(decision: RestoredDecision, reason: string | null): Promise<ResumeRestoredJson>;
  close(): Promise<void>;
}

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
      async resumeRestored(decision, reason) {
        return resumedRestoredJson(await pauses.resumeRestored({ decision, reason }, by));
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
  const mailer = connectHere(config, serverUrl, operator);
  const named = (target: PauseTarget | null) =>
    target === null ? {} : { [target.kind]: target.name };
  return {
    async pause(target, reason) {
      return (await mailer.pauseSending({ body: { ...named(target), reason } })).data;
    },
    async resume(target, reason) {
      const why = reason === null ? {} : { reason };
      const { data } = await mailer.resumeSending({ body: { ...named(target), ...why } });
      return data as ResumeJson;
    },
    async resumeRestored(restored, reason) {
      const why = reason === null ? {} : { reason };
      return (await mailer.resumeSending({ body: { restored, ...why } }))
        .data as ResumeRestoredJson;
    },
    close: async () => {},
  };
}
