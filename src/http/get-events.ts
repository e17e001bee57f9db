import { AppError } from "../errors.ts";
import { answer } from "./answer.ts";
import { type ApiContext, claimsOf } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";
import { emailIdOf, noSuchEmail } from "./email-id.ts";

/** GET /api/v1/emails/{id}/events: the whole timeline in order. */
export function createGetEvents({ emails }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    if (c.req.header("accept")?.includes("text/event-stream")) {
      throw new AppError("not_supported_yet", {
        publicDetail: "Live events are not supported yet: ask with Accept: application/json.",
      });
    }
    const events = await emails.events(emailIdOf(c), claimsOf(c));
    if (!events) throw noSuchEmail();
    const timeline = events.map(({ sequence, at, actor, action, detail }) => ({
      sequence,
      at,
      actor,
      action,
      detail: withInstants(detail),
    }));
    return answer(c, timeline, { page: { limit: timeline.length, next_cursor: null } });
  };
}

/** The database writes instants its own way; answers are UTC with milliseconds. */
function withInstants(detail: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(detail).map(([name, value]) =>
    name.endsWith("_at") && typeof value === "string"
      ? [name, new Date(value).toISOString()]
      : [name, value],
  );
  return Object.fromEntries(entries);
}
