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
      detail,
    }));
    return answer(c, timeline, { page: { limit: timeline.length, next_cursor: null } });
  };
}
