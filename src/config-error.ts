/** One variable that cannot be used as it is. */
export interface ConfigFault {
  readonly name: string;
  /** Completes "expected …". */
  readonly expected: string;
  /** The value that was there instead; never that of a secret. */
  readonly got: string;
  readonly example: string;
}

/** Thrown once with all faults, so that a person mends the configuration in one go. */
export class ConfigError extends Error {
  readonly faults: readonly ConfigFault[];
  /** Lines for a terminal, ready to print. */
  readonly report: string;

  constructor(faults: readonly ConfigFault[]) {
    const report = reportOf(faults);
    super(report);
    this.name = "ConfigError";
    this.faults = faults;
    this.report = report;
  }
}

function reportOf(faults: readonly ConfigFault[]): string {
  const count =
    faults.length === 1
      ? "1 variable needs attention"
      : `${faults.length} variables need attention`;
  const blocks = faults.map((fault) =>
    [
      `  ${fault.name}`,
      `    expected  ${fault.expected}`,
      `    got       ${fault.got}`,
      ...(fault.example === "" ? [] : [`    example   ${fault.name}=${fault.example}`]),
    ].join("\n"),
  );
  return `Configuration error: ${count}.\n\n${blocks.join("\n\n")}\n`;
}

/** How a value is shown in a fault: control characters escaped, credentials in URLs struck out. */
export function shownValue(value: string | undefined, isSecret: boolean): string {
  if (value === undefined || value.trim() === "") return "nothing";
  if (isSecret) return "a value that does not fit (not shown: it is a secret)";
  const shown = value.replace(/\/\/[^/\s]*@/g, "//***@");
  return JSON.stringify(shown.length > 80 ? `${shown.slice(0, 80)}…` : shown);
}
