import { createHash, type Hash } from "node:crypto";

/**
 * SHA-256 (hex) of parsed JSON, whatever the order of its fields and the spaces between them
 * were. Recursive: `readJson` has bounded the depth.
 */
export function canonicalHash(value: unknown): string {
  const hash = createHash("sha256");
  write(value, hash);
  return hash.digest("hex");
}

function write(value: unknown, hash: Hash): void {
  if (typeof value !== "object" || value === null) {
    hash.update(JSON.stringify(value) ?? "null");
    return;
  }
  const isList = Array.isArray(value);
  hash.update(isList ? "[" : "{");
  const fields = Object.entries(value);
  // By code units, which is the same order everywhere.
  if (!isList) fields.sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, part] of fields) {
    if (!isList) hash.update(`${JSON.stringify(name)}:`);
    write(part, hash);
    hash.update(",");
  }
  hash.update(isList ? "]" : "}");
}
