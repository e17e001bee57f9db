import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";

/**
 * The oracle: lines that are on the disk before the server answers, so that they survive the
 * death of either side. Lines that arrive together share one fsync.
 */
export interface AcceptanceLog {
  append(line: string): Promise<void>;
  close(): void;
}

export function createAcceptanceLog(file: string): AcceptanceLog {
  const fd = openSync(file, "a", 0o600);
  let waiting: { line: string; resolve: () => void }[] = [];

  function flush(): void {
    const batch = waiting;
    waiting = [];
    writeSync(fd, batch.map(({ line }) => `${line}\n`).join(""));
    fsyncSync(fd);
    for (const { resolve } of batch) resolve();
  }

  return {
    append: (line) =>
      new Promise((resolve) => {
        waiting.push({ line, resolve });
        if (waiting.length === 1) setImmediate(flush);
      }),
    close() {
      if (waiting.length > 0) flush();
      closeSync(fd);
    },
  };
}
