import { EventEmitter } from "node:events";
import type { PGlite } from "@electric-sql/pglite";
import { isFatal, type PgliteEngine } from "./pglite-engine.ts";
import { holdPglite, type PgliteResult, queryPglite } from "./pglite-query.ts";

export interface PglitePoolOptions {
  engine: PgliteEngine;
  /** Set as `search_path` before a query; our own SQL names its schemas and does not mind. */
  searchPath: string;
}

/** What BullMQ's PostgreSQL backend uses of `pg.Pool`. */
export type PglitePool = ReturnType<typeof createPglitePool>;

/**
 * A `pg.Pool` over PGlite's one session, for BullMQ. Clients cost nothing and share the
 * session; one that says BEGIN has it to itself until COMMIT or ROLLBACK. (The pool of PGlite's
 * own `createPgConfig` holds one client, and BullMQ's LISTEN would keep that one for ever.)
 */
export function createPglitePool({ engine, searchPath }: PglitePoolOptions) {
  const prepared = new WeakSet<PGlite>();

  async function run(
    pglite: PGlite,
    text: string,
    values: readonly unknown[] = [],
  ): Promise<PgliteResult> {
    if (!prepared.has(pglite)) {
      await queryPglite(pglite, `set search_path to ${searchPath}`);
      prepared.add(pglite);
    }
    return queryPglite(pglite, text, values);
  }

  const connect = async () => new PgliteClient(engine, run);
  return Object.assign(new EventEmitter(), {
    /** Read by BullMQ: a session in this process cannot drop silently. */
    options: { keepAlive: true },
    connect,
    query<R = Record<string, unknown>>(text: string, values?: readonly unknown[]) {
      return runAlone<R>(engine, run, text, values);
    },
    async end() {
      // The session belongs to the database.
    },
  });
}

type Run = (pglite: PGlite, text: string, values?: readonly unknown[]) => Promise<PgliteResult>;

interface Rows<R> {
  rows: R[];
  rowCount: number | null;
}

async function runAlone<R>(
  engine: PgliteEngine,
  run: Run,
  text: string,
  values?: readonly unknown[],
): Promise<Rows<R>> {
  const result = await engine.use((pglite) => holdPglite(pglite, () => run(pglite, text, values)));
  // As in `pg`, the caller says what shape its rows have.
  return result as Rows<R>;
}

/** The session, held between BEGIN and its end. */
interface Transaction {
  pglite: PGlite;
  finish: () => void;
  fail: (error: unknown) => void;
}

class PgliteClient extends EventEmitter {
  readonly #engine: PgliteEngine;
  readonly #run: Run;
  #transaction: Transaction | null = null;
  #stopListening: (() => void) | null = null;

  constructor(engine: PgliteEngine, run: Run) {
    super();
    this.#engine = engine;
    this.#run = run;
  }

  async query<R = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
  ): Promise<Rows<R>> {
    const command = /^\s*(?:--[^\n]*\n\s*)*(\w+)/.exec(text)?.[1]?.toLowerCase();
    if (command === "begin" && this.#transaction === null) await this.#begin();
    if (command === "listen") await this.#listen();
    if (this.#transaction === null) return runAlone<R>(this.#engine, this.#run, text, values);
    const { pglite, finish, fail } = this.#transaction;
    try {
      const result = await this.#run(pglite, text, values);
      return result as Rows<R>;
    } catch (error) {
      if (isFatal(error)) {
        this.#transaction = null;
        fail(error);
      }
      throw error;
    } finally {
      if (command === "commit" || command === "rollback") {
        this.#transaction = null;
        finish();
      }
    }
  }

  /** Gives the session back, also when its user forgot to end its transaction. */
  release(): void {
    this.#stopListening?.();
    this.#stopListening = null;
    if (this.#transaction === null) return;
    const { pglite, finish, fail } = this.#transaction;
    this.#transaction = null;
    void queryPglite(pglite, "rollback").then(finish, fail);
  }

  async #begin(): Promise<void> {
    const started = Promise.withResolvers<Transaction>();
    const ended = Promise.withResolvers<void>();
    this.#engine
      .use((pglite) =>
        holdPglite(pglite, () => {
          started.resolve({ pglite, finish: ended.resolve, fail: ended.reject });
          return ended.promise;
        }),
      )
      // Before the start the caller of BEGIN hears of it, later whoever ran the query.
      .catch(started.reject);
    this.#transaction = await started.promise;
  }

  /** NOTIFY arrives with the answers of the session; a replaced one has forgotten its LISTEN. */
  async #listen(): Promise<void> {
    if (this.#stopListening !== null) return;
    const unsubscribe = await this.#engine.use(async (pglite) =>
      pglite.onNotification((channel, payload) => {
        this.emit("notification", { channel, payload });
      }),
    );
    const forget = this.#engine.onReplaced(() => {
      this.emit("error", new Error("PGlite was replaced"));
    });
    this.#stopListening = () => {
      unsubscribe();
      forget();
    };
  }
}
