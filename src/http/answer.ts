import type { ApiContext } from "./api-env.ts";

/** `{ success: true, data }`; dates become UTC with milliseconds. */
export function answer(
  c: ApiContext,
  data: unknown,
  { status = 200, ...beside }: { status?: 200 | 201 | 202; page?: object } = {},
): Response {
  return c.json({ success: true, data, ...beside }, status);
}
