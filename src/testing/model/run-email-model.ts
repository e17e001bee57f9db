import { expect } from "bun:test";
import fc from "fast-check";
import { createPostgresDatabase } from "../../store/postgres-database.ts";
import { directSql } from "../servers/direct-sql.ts";
import { freshDatabase } from "../servers/fresh-database.ts";
import { createBenchWorker, createEmailBench } from "./email-bench.ts";
import type { EmailCommand, Real } from "./email-command.ts";
import { emailCommands } from "./email-commands.ts";
import { type Model, workerCount } from "./email-model.ts";

export interface EmailModelOptions {
  runs: number;
  seed: number;
  /** Given by a failure; runs that one case again. */
  path?: string;
  /** After it no new run is begun, and a failure is not shortened further. Default 25 s. */
  timeLimitMs?: number;
  commandsMax?: number;
}

/**
 * Runs random commands over the real database functions beside a plain model and compares the
 * two after each. A failure prints the shortest commands that show it, with seed and path.
 */
export async function runEmailModel(options: EmailModelOptions): Promise<{ commands: number }> {
  const { url } = await freshDatabase();
  const database = createPostgresDatabase({ url, deadlineMs: 20_000 });
  const sql = await directSql(database);
  const bench = createEmailBench(database, sql);
  let commands = 0;

  async function runOne(sequence: Iterable<EmailCommand>): Promise<void> {
    const model: Model = {
      now: 0,
      emails: [],
      silent: new Set(),
      steadySince: new Map(),
      begun: new Map(),
    };
    const workers = Array.from({ length: workerCount }, () => createBenchWorker(database));
    const real: Real = { bench, workers, keeper: createBenchWorker(database), claims: new Map() };
    for (const { presence } of [...workers, real.keeper]) await presence.beat();
    const before = await bench.counts();
    try {
      await fc.asyncModelRun(() => ({ model, real }), counted(sequence));
      await compareCounts(model, before);
    } finally {
      await bench.forget(
        model.emails.map(({ id }) => id),
        [...workers, real.keeper].map(({ id }) => id),
      );
    }
  }

  /** The counts equal the rows: with entries unsealed, half of them sealed, and all sealed. */
  async function compareCounts(model: Model, before: Record<string, number>): Promise<void> {
    const found = await bench.countRows(model.emails.map(({ id }) => id));
    const entries = model.emails.reduce((sum, email) => sum + email.entries, 0);
    for (const limit of [0, Math.ceil(entries / 2), 100_000]) {
      if (limit > 0) await bench.seal(limit);
      const after = await bench.counts();
      const grown = Object.entries(after)
        .map(([state, n]) => [state, n - (before[state] ?? 0)] as const)
        .filter(([, n]) => n !== 0);
      expect(Object.fromEntries(grown)).toEqual(found);
    }
  }

  function counted(sequence: Iterable<EmailCommand>): Iterable<EmailCommand> {
    commands += [...sequence].length;
    return sequence;
  }

  try {
    await fc.assert(
      fc.asyncProperty(
        fc.commands(emailCommands, { maxCommands: options.commandsMax ?? 200, size: "max" }),
        runOne,
      ),
      {
        numRuns: options.runs,
        // A failure is reported with the shortest commands found by then.
        interruptAfterTimeLimit: options.timeLimitMs ?? 25_000,
        seed: options.seed,
        ...(options.path === undefined ? {} : { path: options.path }),
      },
    );
  } finally {
    await sql.close();
    await database.close();
  }
  return { commands };
}
