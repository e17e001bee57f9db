import type { BulkDeps } from "../emails/bulk.ts";
import type { AppDeps } from "./app-deps.ts";

export function bulkDepsOf({ deadLetters, bulkCancel, log, isDraining }: AppDeps): BulkDeps {
  return { deadLetters, bulkCancel, log, isDraining, newId: () => Bun.randomUUIDv7() };
}
