import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { ImportError } from "./read-rows.ts";

/** Which rows of a file the server has answered for. */
export interface ProgressFile {
  /** Of rows, from 0; whoever goes on begins here. */
  readonly done: number;
  /** Whether an earlier run had begun. */
  readonly isResumed: boolean;
  /** Notes that the server has answered for the rows up to this one. */
  note(done: number): void;
}

/**
 * Lies beside the imported file, so that the same command goes on where it was killed. One that is
 * half done and of another content is refused: to begin anew would send its emails twice.
 */
export function openProgress(path: string, hash: string, rows: number): ProgressFile {
  const earlier = existsSync(path) ? readLines(path) : null;
  if (earlier !== null && earlier.hash !== hash && earlier.done < earlier.rows) {
    throw new ImportError(
      `${path} is of an import that is not finished, and the file or the options have changed since: ` +
        `${earlier.done} of ${earlier.rows} rows were handed over. Finish it as it was, or remove ` +
        "that file to begin anew",
    );
  }
  const isResumed = earlier?.hash === hash;
  if (!isResumed) writeFileSync(path, `${JSON.stringify({ hash, rows })}\n`);
  let done = isResumed ? earlier.done : 0;
  return {
    get done() {
      return done;
    },
    isResumed,
    note(next) {
      done = next;
      appendFileSync(path, `${JSON.stringify({ done })}\n`);
    },
  };
}

/** A last line that was cut off counts for nothing: its rows are asked about again. */
function readLines(path: string): { hash: string; rows: number; done: number } {
  const lines = readFileSync(path, "utf8").split("\n").map(parse);
  const { hash, rows } = lines[0] ?? {};
  if (typeof hash !== "string" || typeof rows !== "number") {
    throw new ImportError(`${path} is no progress of an import; remove it to begin anew`);
  }
  const done = lines.reduce((most, line) => Math.max(most, Number(line?.done ?? 0)), 0);
  return { hash, rows, done };
}

function parse(line: string): Record<string, unknown> | null {
  try {
    return Object(JSON.parse(line));
  } catch {
    // Empty, or cut off.
    return null;
  }
}
