import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { AppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { sendPage } from "./page-response.ts";
import type { SignInLinks } from "./sign-in-link.ts";
import { SignInPage } from "./sign-in-page.tsx";
import type { Visitors } from "./visitor.ts";

const formBytesMax = 16 * 1024;

export interface SignInDeps {
  signInLinks: SignInLinks;
  peerAddress?: (c: Context) => string | null;
  countFailure?: (c: Context) => Promise<AppError | null>;
  log: Logger;
  program: string;
}

export function mountSignIn(app: Hono, visitors: Visitors, deps: SignInDeps): void {
  const { signInLinks: links, program } = deps;

  app.get("/sign-in", async (c) => {
    const code = c.req.query("code");
    const visitor = await visitors.recognise(c);
    const isKnown = visitor !== null && visitor !== "refused";
    if (isKnown || code === undefined) return c.redirect("/", 303);
    // HEAD comes here too: a preview of the link must not use it up.
    if (c.req.method !== "GET") return sendPage(c, <SignInPage program={program} />);
    if (!links.redeem(code)) {
      const fault =
        "This link was used already, or is too old. Restart the server, or use a token.";
      return await refuse(c, deps, { code: "link_used_or_old", fault });
    }
    await visitors.signIn(c, { ownerId: "console", isAdmin: true, credential: "session" });
    logSignIn(c, deps, { owner: "console" });
    return c.redirect("/", 303);
  });

  app.post("/sign-in", bodyLimit({ maxSize: formBytesMax }), async (c) => {
    if (!visitors.isOwnPost(c))
      return sendPage(c, <SignInPage program={program} fault={foreign} />, 403);
    const { token } = await c.req.parseBody();
    const principal = typeof token === "string" ? await visitors.byToken(token) : null;
    if (principal === null) {
      return await refuse(c, deps, { code: "token_refused", fault: "This token is not valid." });
    }
    await visitors.signIn(c, principal);
    logSignIn(c, deps, { owner: principal.ownerId });
    return c.redirect("/", 303);
  });

  app.post("/sign-out", async (c) => {
    if (!visitors.isOwnPost(c))
      return sendPage(c, <SignInPage program={program} fault={foreign} />, 403);
    visitors.signOut(c);
    return c.redirect("/", 303);
  });
}

/** Says why not; whoever was refused too often is told to wait, and no more than that. */
async function refuse(
  c: Context,
  deps: SignInDeps,
  { code, fault }: { code: string; fault: string },
): Promise<Response> {
  const { program } = deps;
  const tooMany = (await deps.countFailure?.(c)) ?? null;
  logSignIn(c, deps, { code: tooMany === null ? code : tooMany.code });
  if (tooMany === null) return sendPage(c, <SignInPage program={program} fault={fault} />, 401);
  c.header("Retry-After", String(tooMany.retryAfterSeconds));
  return sendPage(c, <SignInPage program={program} fault={tooMany.publicDetail} />, 429);
}

/** Who came in, or by which word somebody did not, and from where; never what was shown for it. */
function logSignIn(
  c: Context,
  { log, peerAddress }: SignInDeps,
  outcome: { owner: string } | { code: string },
): void {
  const host = peerAddress?.(c) ?? undefined;
  const fields = { ...outcome, ...(host === undefined ? {} : { host }) };
  if ("owner" in outcome) log.info("signed in", fields);
  else log.warn("sign-in refused", fields);
}

const foreign = "This did not come from our own page, so nothing was done.";
