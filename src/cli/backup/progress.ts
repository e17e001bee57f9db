import type { CommandIo } from "../command.ts";

export interface Progress {
  show(done: number, all?: number): void;
  /** Leaves the terminal as a command that says nothing would. */
  end(): void;
}

const everyMs = 200;

/** One line on a terminal that is written over; nothing elsewhere. */
export function createProgress(
  verb: string,
  { stderr, isTty }: CommandIo,
  unit: "bytes" | "rows" = "bytes",
): Progress {
  const textOf = unit === "bytes" ? megabytes : String;
  const unitWord = unit === "bytes" ? "MB" : unit;
  let shownAt = Number.NEGATIVE_INFINITY;
  let isShown = false;
  return {
    show(done, all) {
      if (!isTty || performance.now() - shownAt < everyMs) return;
      shownAt = performance.now();
      isShown = true;
      const of = all === undefined ? "" : ` of ${textOf(all)}`;
      stderr.write(`\r${verb} ${textOf(done)}${of} ${unitWord} `);
    },
    end() {
      if (isShown) stderr.write("\r\u001b[K");
    },
  };
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(0);
}
