import type { Context, Hono } from "hono";
import type { Principal } from "../auth/principal.ts";
import { emailEventTypes } from "../email/event-types.ts";
import { isUuid } from "./pages/list-place.ts";
import type { Visitors } from "./session/visitor.ts";

export interface LiveDeps {
  visitors: Pick<Visitors, "recognise">;
  /** Answers a request to the API on behalf of somebody who has been recognised already. */
  call: (
    request: Request,
    principal: Principal,
    c: Context,
    more: { isStillIn: () => Promise<boolean> },
  ) => Promise<Response>;
}

/** What a page follows; that an email is being sent is over before it is read. */
const types = emailEventTypes.filter((type) => type !== "email.sending").join(",");

/**
 * GET /live: the API's stream of events for our own pages, by the session's cookie, which is no
 * credential of the API. With `?email=` it tells of one email only. It ends with the session.
 */
export function mountLive(app: Hono, { visitors, call }: LiveDeps): void {
  app.get("/live", async (c) => {
    const visitor = await visitors.recognise(c);
    if (visitor === null || visitor === "refused") return c.text("Sign in first.", 401);
    const email = c.req.query("email") ?? "";
    const path = isUuid(email) ? `/api/v1/emails/${email}/events` : "/api/v1/events";
    const headers = new Headers({ accept: "text/event-stream" });
    for (const name of ["host", "last-event-id", "x-forwarded-for", "x-forwarded-proto"]) {
      const value = c.req.header(name);
      if (value !== undefined) headers.set(name, value);
    }
    const { signal } = c.req.raw;
    const request = new Request(new URL(`${path}?type=${types}`, c.req.url), { headers, signal });
    const isStillIn = async () => {
      const now = await visitors.recognise(c);
      if (now === null || now === "refused") return false;
      // An admin who is none any more sees less from then on.
      return now.ownerId === visitor.ownerId && now.isAdmin === visitor.isAdmin;
    };
    return await call(request, visitor, c, { isStillIn });
  });
}
