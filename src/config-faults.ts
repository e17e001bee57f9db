import { type ConfigFault, shownValue } from "./config-error.ts";
import type { Variable } from "./config-variable.ts";
import { type VariableName, variables } from "./config-variables.ts";

/** Collects what is wrong, one fault per variable: the first one said is the most telling. */
export class Faults {
  readonly list: ConfigFault[] = [];

  constructor(private readonly env: Readonly<Record<string, string | undefined>>) {}

  has(name: VariableName): boolean {
    return this.list.some((fault) => fault.name === name);
  }

  /** `got` defaults to the value, or for a secret to words that do not show it. */
  add(name: VariableName, expected: string, got?: string): void {
    if (this.has(name)) return;
    const { isSecret, example }: Variable<unknown> = variables[name];
    const came = got ?? shownValue(this.env[name], isSecret);
    this.list.push({ name, expected, got: came, example });
  }
}
