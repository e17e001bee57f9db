import type { ApiContext } from "../api-env.ts";

/**
 * A name in the path that PostgreSQL can take as text: at most 255 characters, without NUL and
 * without halves of surrogate pairs. Null: no such name can exist.
 */
export function pathText(c: ApiContext, name: string): string | null {
  const text = c.req.param(name) ?? "";
  return text.length <= 255 && !text.includes("\0") && text.isWellFormed() ? text : null;
}
