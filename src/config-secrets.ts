import type { Faults } from "./config-faults.ts";
import type { VariableValues } from "./config-variables.ts";

/** Makes a secret; printed wherever one is missing or refused. */
export const secretCommand = "openssl rand -hex 32";

/** 16 random decimal digits have all of these with a chance of more than 99.9 %. */
const distinctCharactersMin = 4;
const surprisesMin = 5;

/** Those a person makes up. ENCRYPTION_KEYS_OLD still decrypt, however weak they were. */
const madeUp = ["ENCRYPTION_KEY", "JWT_SECRET", "METRICS_TOKEN", "AUDIT_SIGNING_KEY"] as const;

/** A secret that anybody can guess is refused by name, with the command that makes a better one. */
export function checkWeakness(values: VariableValues, faults: Faults): void {
  for (const name of madeUp) {
    const weakness = values[name] === null ? null : weaknessOf(values[name]);
    // A project on this machine signs with a secret that everybody knows; it is not ours to choose.
    if (weakness === null || (name === "JWT_SECRET" && isLocalProject(values))) continue;
    const got = `${weakness} (not shown: it is a secret)`;
    faults.add(name, `a value nobody can guess, made by: ${secretCommand}`, got);
  }
}

function isLocalProject({ SUPABASE_URL }: VariableValues): boolean {
  if (SUPABASE_URL === null) return false;
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(new URL(SUPABASE_URL).hostname);
}

/**
 * Why anybody could guess a secret: a sentence that completes "got …"; null: it is not obvious. No
 * random value of 16 characters or more is refused, nor a passphrase of several words.
 */
export function weaknessOf(secret: string): string | null {
  if (isCommand(secret)) return "a command instead of what it prints";
  if (isPlaceholder(secret)) return "a placeholder";
  const unit = repeatedUnit(secret);
  const isVaried = new Set(unit).size >= distinctCharactersMin && surprisesIn(unit) >= surprisesMin;
  return isVaried ? null : "a text of too little variety";
}

/** A shell would have run it; a file of variables does not. */
function isCommand(secret: string): boolean {
  return /\$\(|^`.*`$|\bopenssl rand\b|^\$\{?\w+\}?$/s.test(secret);
}

/** What placeholders are made of: `your-jwt-secret`, `change-me`, `super-secret-jwt-token-…`. */
const placeholderWords = [
  ...["your", "my", "the", "a", "an", "some", "own", "new", "super", "very", "long", "random"],
  ...["strong", "secure", "safe", "jwt", "encryption", "signing", "audit", "metrics", "master"],
  ...["secret", "key", "token", "password", "passphrase", "passwd", "text", "value", "string"],
  ...["change", "replace", "insert", "enter", "put", "set", "generate", "me", "this", "it", "here"],
  ...["please", "in", "production", "with", "at", "least", "of", "or", "and", "to", "be", "goes"],
  ...["characters", "chars", "bytes", "hex", "digits", "base64", "former", "placeholder", "todo"],
];
const placeholder = new RegExp(`^(?:${placeholderWords.join("|")}|\\d)+$`);

/** One of these is among them: a random `3a41a…` consists of the word "a" and digits. */
const telling = /secret|key|token|pass|text|value|string|change|replace|insert|placeholder|todo/;

/** Words of placeholders alone, or brackets around something to be filled in. */
function isPlaceholder(secret: string): boolean {
  if (/^(?:<.*>|\[.*\]|\{.*\})$/s.test(secret)) return true;
  const words = secret.toLowerCase().replace(/[^a-z0-9]+/g, "");
  return words.length <= 200 && telling.test(words) && placeholder.test(words);
}

/** `abcabcabc` says no more than `abc`. */
function repeatedUnit(text: string): string {
  // The first place where the text, written twice, begins anew.
  return text.slice(0, (text + text).indexOf(text, 1));
}

/** How often a character is neither the one before it nor its neighbour: `12345678` never. */
function surprisesIn(text: string): number {
  let count = 0;
  for (let i = 1; i < text.length; i++) {
    if (Math.abs(text.charCodeAt(i) - text.charCodeAt(i - 1)) > 1) count++;
  }
  return count;
}
