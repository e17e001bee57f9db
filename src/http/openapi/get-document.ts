import type { ApiContext } from "../api-env.ts";
import { type DescribedRoute, describeApi, type OpenApiDocument } from "./document.ts";
import { operations } from "./operations.ts";

/** GET /openapi.json: the same for everybody, so it is made once. `routes` is asked for then. */
export function createGetDocument(routes: () => readonly DescribedRoute[], version: string) {
  let text: string | null = null;
  return async (c: ApiContext): Promise<Response> => {
    text ??= JSON.stringify(describe());
    return c.body(text, 200, { "content-type": "application/json", "cache-control": "no-cache" });
  };

  function describe(): OpenApiDocument {
    return describeApi(routes(), operations, version);
  }
}
