import type { BulkDeps } from "../emails/bulk.ts";
import type { AppDeps } from "./app-deps.ts";

export function bulkDepsOf(deps: AppDeps): BulkDeps {
  const { deadLetters, bulkCancel, bulkChange, log, isDraining } = deps;
  const newId = () => Bun.randomUUIDv7();
  return { deadLetters, bulkCancel, bulkChange, log, isDraining, newId };
}
