import { middle } from "./statistics.ts";

export type Unit = "×" | "/s" | "ms" | "µs" | "MB" | "kB" | "%" | "s";

/** The bounds of a figure; the gate must hold, the aim is where we want to be. */
export interface Target {
  gate: number;
  aim: number;
  better: "higher" | "lower";
}

/** One number of the table: a value for each round. */
export interface Figure {
  name: string;
  unit: Unit;
  values: number[];
  target?: Target;
}

/** What a measurement came to. */
export interface Outcome {
  figures: Figure[];
  /** Counts, concurrency, pools: what else must be known to repeat it. */
  settings: Record<string, string | number>;
  /** Emails lost or doubled and limits broken, in words; one of them voids the figures. */
  broken: string[];
  curves?: Curve[];
}

/** What grew over time: milliseconds against a count or a share. */
export interface Curve {
  name: string;
  points: [x: number, y: number][];
}

export type Verdict = "aim" | "gate" | "missed" | "";

/** Empty for a figure that nothing is asked of: a reference, a rate beside a ratio. */
export function verdict({ values, target }: Figure): Verdict {
  if (!target) return "";
  const { median } = middle(values);
  const reaches = (limit: number) =>
    target.better === "higher" ? median >= limit : median <= limit;
  if (reaches(target.aim)) return "aim";
  return reaches(target.gate) ? "gate" : "missed";
}

const marks: Record<Verdict, string> = { aim: "✓ aim", gate: "✓ gate", missed: "✗ missed", "": "" };

/** `2.13 × (1.98–2.20)`; one round has no range. */
export function figureText({ unit, values }: Pick<Figure, "unit" | "values">): string {
  const { median, min, max } = middle(values);
  const range = values.length > 1 ? ` (${short(min)}–${short(max)})` : "";
  return `${short(median)} ${unit}${range}`;
}

/** Cells of the table: what, gate, aim, value, verdict. */
export function figureCells(figure: Figure): string[] {
  const { target, unit } = figure;
  const sign = target?.better === "lower" ? "≤" : "≥";
  const limit = (value: number) => `${sign} ${short(value)} ${unit}`;
  return [
    figure.name,
    target ? limit(target.gate) : "",
    target ? limit(target.aim) : "",
    figureText(figure),
    marks[verdict(figure)],
  ];
}

/** Three digits that mean something; never a row of noise. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
  return value.toFixed(size >= 10 ? 1 : 2);
}
