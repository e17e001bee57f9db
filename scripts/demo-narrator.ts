/** The demo's voice: sentences, a line that counts down, and a timeline drawn with characters. */
export interface Narrator {
  heading(text: string): void;
  say(text: string): void;
  /** A line that replaces itself on a terminal; elsewhere only a changed text is printed. */
  progress(text: string): void;
  good(text: string): void;
  bad(text: string): void;
  timeline(moments: Moment[]): void;
}

export interface Moment {
  at: Date;
  title: string;
  detail: string;
  tone: "plain" | "good" | "bad" | "wait";
}

interface Output {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
}

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34 } as const;
const marks = { plain: "○", good: "●", bad: "✗", wait: "◌" } as const;
const colourOf = { plain: "blue", good: "green", bad: "red", wait: "yellow" } as const;

export function createNarrator(
  out: Output,
  env: Readonly<Record<string, string | undefined>>,
): Narrator {
  const isTerminal = out.isTTY === true;
  const isColoured = isTerminal && !env.NO_COLOR;
  const paint = (colour: keyof typeof codes, text: string) =>
    isColoured ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text;
  let lastProgress = "";

  function line(text: string): void {
    if (isTerminal && lastProgress !== "") out.write("\r\x1b[2K");
    lastProgress = "";
    out.write(`${text}\n`);
  }

  return {
    heading: (text) => line(`\n${paint("bold", text)}`),
    say: (text) => line(`  ${text}`),
    progress(text) {
      if (text === lastProgress) return;
      if (isTerminal) out.write(`\r\x1b[2K  ${paint("dim", text)}`);
      // Without a terminal nobody watches seconds go by: only what is new in words is said.
      else if (text.replace(/[\d.]+/g, "") !== lastProgress.replace(/[\d.]+/g, ""))
        out.write(`  ${text}\n`);
      lastProgress = text;
    },
    good: (text) => line(`\n${paint("green", "✓")} ${text}`),
    bad: (text) => line(`\n${paint("red", "✗")} ${text}`),
    timeline(moments) {
      line("");
      for (const [index, { at, title, detail, tone }] of moments.entries()) {
        const before = moments[index - 1];
        if (before !== undefined) line(gap(at.getTime() - before.at.getTime(), paint));
        const mark = paint(colourOf[tone], marks[tone]);
        const time = paint("dim", clockTime(at));
        line(`  ${time}  ${mark} ${paint("bold", title.padEnd(12))} ${detail}`.trimEnd());
      }
      line("");
    },
  };
}

/** The stroke between two moments; longer waits are written on it. */
function gap(ms: number, paint: (colour: "dim", text: string) => string): string {
  const wait = ms >= 500 ? `  ${inWords(ms)}` : "";
  return `  ${" ".repeat(12)}  ${paint("dim", `│${wait}`)}`;
}

function clockTime(at: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const seconds = `${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  return `${two(at.getHours())}:${two(at.getMinutes())}:${seconds}`;
}

/** `1 min 5 s`, `4.2 s`, `320 ms`. */
export function inWords(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1_000).toFixed(1))} s`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.round((ms % 60_000) / 1_000);
  return seconds === 0 ? `${minutes} min` : `${minutes} min ${seconds} s`;
}
