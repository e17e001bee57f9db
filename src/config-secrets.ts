import type { Faults } from "./config-faults.ts";
import type { VariableValues } from "./config-variables.ts";

/** Makes a secret; printed wherever one is missing or refused. */
export const secretCommand = "openssl rand -hex 32";

/** 16 random decimal digits have all of these with a chance of more than 99.9 %. */
const distinctCharactersMin = 4;
const surprisesMin = 5;

/**
 * Those a person makes up. ENCRYPTION_KEYS_OLD still decrypt, however weak they were; a former secret
 * of tokens that anybody can guess would let anybody in.
 */
const madeUp = [
  "ENCRYPTION_KEY",
  "JWT_SECRET",
  "JWT_SECRETS_OLD",
  "METRICS_TOKEN",
  "AUDIT_SIGNING_KEY",
] as const;

/** Passwords of servers: whoever set them up chose them, but nobody chose a placeholder. */
const passwords = ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "SMTP_PASS"] as const;

/**
 * A secret that anybody can guess is refused by name, with the command that makes a better one. In
 * production so is a password that was never filled in.
 */
export function checkWeakness(values: VariableValues, faults: Faults): void {
  if (values.NODE_ENV === "production") checkPasswords(values, faults);
  for (const name of madeUp) {
    const secrets = [values[name] ?? []].flat();
    const weakness = secrets.map(weaknessOf).find((each) => each !== null) ?? null;
    // A project on this machine signs with a secret that everybody knows; it is not ours to choose.
    if (weakness === null || (name.startsWith("JWT_") && isLocalProject(values))) continue;
    const expected =
      name === "JWT_SECRETS_OLD"
        ? "former secrets that nobody can guess: tokens of any other can be forged by anybody"
        : `a value nobody can guess, made by: ${secretCommand}`;
    faults.add(name, expected, `${weakness} (not shown: it is a secret)`);
  }
}

const asksToBeFilled = /[$`<[{]|openssl|^\W*(?:your|change|replace|insert|enter|put|generate)/i;

function checkPasswords(values: VariableValues, faults: Faults): void {
  for (const name of passwords) {
    const password = values[name];
    const unfilled = password === null ? null : unfilledWords(password);
    // `password` alone is weak and may be meant; `your-password` was never meant.
    if (password === null || unfilled === null || !asksToBeFilled.test(password)) continue;
    const expected =
      name === "SMTP_PASS"
        ? "the password of SMTP_USER; at Gmail an app password, which Google makes for you"
        : `a password, made by: ${secretCommand}`;
    faults.add(name, expected, `${unfilled} (not shown: it is a secret)`);
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
  const unfilled = unfilledWords(secret);
  if (unfilled !== null) return unfilled;
  const unit = repeatedUnit(secret);
  const isVaried = new Set(unit).size >= distinctCharactersMin && surprisesIn(unit) >= surprisesMin;
  return isVaried ? null : "a text of too little variety";
}

/** Completes "got …" for what stands where a secret belongs; null: it may be one. */
function unfilledWords(secret: string): string | null {
  if (isCommand(secret)) return "a command instead of what it prints";
  return isPlaceholder(secret) ? "a placeholder" : null;
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
  ...["characters", "character", "chars", "char", "bytes", "byte", "hex", "digits", "base64"],
  ...["former", "placeholder", "todo", "openssl", "rand", "app", "smtp", "mail", "email", "gmail"],
  ...["postgres", "postgresql", "redis", "database", "db", "user", "account", "from", "for"],
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
