/**
 * A number of a request that a double cannot hold: `JSON.parse` would round it in silence, and ids
 * that differ in their last digits would become one. It stands in the parsed body in the number's
 * place, so that `textFaults` refuses it where it stands.
 */
export class InexactNumber {
  constructor(readonly source: string) {}
}

/** `JSON.parse`, with an `InexactNumber` for each number that a double cannot hold. */
export function parseExactly(text: string): unknown {
  return JSON.parse(text, (_name, value: unknown, context?: { source?: string }) => {
    const source = context?.source;
    if (typeof value !== "number" || source === undefined) return value;
    return isExact(source, value) ? value : new InexactNumber(source);
  });
}

/**
 * True when the shortest text of the double has the digits of the source: `0.1` and `1.50` do,
 * `9007199254740993` does not.
 */
function isExact(source: string, value: number): boolean {
  return Number.isFinite(value) && digitsOf(source) === digitsOf(String(value));
}

/** A decimal number in the one form that equal numbers share: `-0.0120e5` is `-12e2`. */
function digitsOf(decimal: string): string {
  const { sign, digits, exponent } = partsOf(decimal);
  const significant = digits.replace(/^0+/, "");
  if (significant === "") return "0";
  const trimmed = significant.replace(/(?<!0)0+$/, "");
  return `${sign}${trimmed}e${exponent + significant.length - trimmed.length}`;
}

/** The value is `digits × 10^exponent`. */
function partsOf(decimal: string): { sign: string; digits: string; exponent: number } {
  const [mantissa = "", exponent = "0"] = decimal.toLowerCase().split("e");
  const sign = mantissa.startsWith("-") ? "-" : "";
  const [whole = "", fraction = ""] = mantissa.slice(sign.length).split(".");
  return { sign, digits: whole + fraction, exponent: Number(exponent) - fraction.length };
}

/**
 * A number as PostgreSQL writes it as text, without an exponent: `1e21` is 1 with 21 zeros. Filters
 * compare the text of stored numbers.
 */
export function plainDecimal(number: number): string {
  const { sign, digits, exponent } = partsOf(String(number));
  if (exponent >= 0) return `${sign}${digits}${"0".repeat(exponent)}`.replace(/^-?0+$/, "0");
  const padded = digits.padStart(1 - exponent, "0");
  return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}
