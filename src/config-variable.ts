import type { Parser } from "./config-parsers.ts";
import { secretCommand } from "./config-secrets.ts";

/** Not `$(…)`: whoever copies that into a file of variables has it for a secret. */
export const secretExample = `<output of: ${secretCommand}>`;

/** One environment variable: how it is read, and what its row of the table says. */
export interface Variable<T> {
  readonly parser: Parser<T>;
  /** In Markdown; empty: none. What the value is when the variable is unset or empty. */
  readonly default: string;
  /** In Markdown, one or two sentences. */
  readonly meaning: string;
  /** A value that works, for faults. */
  readonly example: string;
  /** Its value is never shown, neither in a fault nor in a log. */
  readonly isSecret: boolean;
  /** The feature it belongs to is not built yet: a value is accepted with a warning. */
  readonly isUnused: boolean;
}

interface VariableText {
  default?: string;
  meaning: string;
  example: string;
}

export function plain<T>(parser: Parser<T>, words: VariableText): Variable<T> {
  return { default: "", isSecret: false, isUnused: false, ...words, parser };
}

export function hidden<T>(parser: Parser<T>, words: VariableText): Variable<T> {
  return { ...plain(parser, words), isSecret: true };
}

export function unused<T>(variable: Variable<T>): Variable<T> {
  return { ...variable, isUnused: true };
}
