import type { CommandIo } from "../command.ts";

export type Paint = (text: string, colour: keyof typeof codes) => string;

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35 } as const;

/** Colours text on a terminal, unless NO_COLOR is set. */
export function createPaint({ isTty, env }: Pick<CommandIo, "isTty" | "env">): Paint {
  const isColoured = isTty && !env.NO_COLOR;
  return (text, colour) => (isColoured ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text);
}

/** The colour of an email's status, and of an event's. */
export function colourOf(status: string): keyof typeof codes {
  if (status === "sent") return "green";
  if (status === "sending") return "blue";
  if (status === "failed" || status === "bounced") return "red";
  if (status === "uncertain") return "magenta";
  const isOdd = ["partially_sent", "held", "deferred", "expired"].includes(status);
  return isOdd ? "yellow" : "dim";
}

/** What comes from elsewhere must not steer the terminal, nor begin a line of its own. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, " ");
}

/** Cells in columns, apart by two spaces; a cell is cut at `max`. */
export function columns(rows: readonly (readonly string[])[], max: readonly number[]): string[][] {
  const cut = rows.map((row) => row.map((cell, at) => cutTo(plain(cell), max[at] ?? 40)));
  const widths = max.map((_, at) =>
    Math.max(0, ...cut.map((row) => Bun.stringWidth(row[at] ?? ""))),
  );
  return cut.map((row) =>
    row.map(
      (cell, at) => cell + " ".repeat(Math.max(0, (widths[at] ?? 0) - Bun.stringWidth(cell))),
    ),
  );
}

function cutTo(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text;
  let short = "";
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (Bun.stringWidth(short + segment) > width - 1) break;
    short += segment;
  }
  return `${short}…`;
}
