import { type Environment, setValue } from "./config.ts";
import { configVariables } from "./config-variables.ts";

/** One variable as it counts in this process, without its secret. */
export interface Setting {
  name: string;
  /** As it was set, without the user and password of a URL; null: not set, or a secret. */
  value: string | null;
  isSet: boolean;
  isSecret: boolean;
  /** In Markdown; empty: none. */
  default: string;
  /** In Markdown. */
  meaning: string;
}

/** Every variable there is, in the order of the documentation. */
export function settingsOf(env: Environment): Setting[] {
  return configVariables.map(({ name, isSecret, default: fallback, meaning }) => {
    const given = setValue(env[name], isSecret);
    const value = isSecret || given === null ? null : withoutCredentials(given);
    return { name, value, isSet: given !== null, isSecret, default: fallback, meaning };
  });
}

function withoutCredentials(value: string): string {
  return value.replace(/\/\/[^/\s]*@/g, "//…@");
}
