import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { setCookie } from "hono/cookie";
import type { Authenticator } from "../auth/jwt.ts";
import type { PasswordSignIn } from "../auth/password-sign-in.ts";
import type { Principal } from "../auth/principal.ts";
import { deadLetterStates } from "../email/states.ts";
import type { AppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Claims } from "../store/database.ts";
import { mountAssets } from "./assets.ts";
import type { MailTrouble, PauseNotice } from "./notices.ts";
import { mountCompose } from "./pages/compose/routes.tsx";
import { mountDeadLetters } from "./pages/dead-letters/routes.tsx";
import { createDoor } from "./pages/door.tsx";
import { mountEmails } from "./pages/emails/routes.tsx";
import { emailPath } from "./pages/emails/row.tsx";
import { deadLettersMax } from "./pages/frame.tsx";
import { mountHome } from "./pages/home/routes.tsx";
import { mountKeys } from "./pages/keys/routes.tsx";
import { sendMissing } from "./pages/missing.tsx";
import { mountAudit } from "./pages/operate/audit-routes.tsx";
import { mountHealth } from "./pages/operate/health-routes.tsx";
import type { PagesDeps } from "./pages/pages-deps.ts";
import { mountSettings } from "./pages/settings/routes.tsx";
import { mountWebhooks } from "./pages/webhooks/routes.tsx";
import type { Sessions } from "./session/session.ts";
import type { SignInLinks } from "./session/sign-in-link.ts";
import { mountSignIn } from "./session/sign-in-routes.tsx";
import { type BearerGuesses, createVisitors } from "./session/visitor.ts";

export interface ConsoleDeps
  extends Omit<PagesDeps, "door" | "countDeadLetters" | "visitors" | "program"> {
  authenticator: Authenticator;
  sessions: Sessions;
  signInLinks: SignInLinks;
  /** Of the users of a Supabase project; absent: there is none. */
  passwords?: PasswordSignIn | undefined;
  /** Why mails do not get out at the moment, or late; null: they do, in time. */
  findTrouble: () => Promise<MailTrouble | null>;
  /** What somebody has paused, as far as this visitor may know. */
  findPause: (visitor: Principal) => PauseNotice | null;
  publicUrl: string | null;
  isProduction?: boolean;
  /** Whether who connects is a proxy of ours, whose X-Forwarded-Proto counts. */
  isBehindProxy: (c: Context) => boolean;
  /** The visitor's network address for the log; default: unknown. */
  peerAddress?: (c: Context) => string | null;
  /** Counts a sign-in that was refused; an error: there were too many. Default: none are. */
  countFailure?: (c: Context) => Promise<AppError | null>;
  /** Counts refused bearers with those of the API; default: nobody counts. */
  guesses?: BearerGuesses;
  log: Logger;
  /** How this program is called from a shell, for examples; default: by its name. */
  program?: string;
  now?: () => Date;
}

/** `/`, sign-in and -out, the pages of the console, and the files that they need. */
export function mountConsole(app: Hono, deps: ConsoleDeps): void {
  const { program = "taskforce-mailer" } = deps;
  const visitors = createVisitors(deps);
  const countDeadLetters = createCount(deps);
  const door = createDoor({
    visitors,
    program,
    hasPasswords: deps.passwords !== undefined,
    findTrouble: deps.findTrouble,
    findPause: deps.findPause,
    countDeadLetters,
    originOf: (c) => deps.peerAddress?.(c) ?? null,
    now: deps.now ?? (() => new Date()),
  });
  mountAssets(app);
  mountSignIn(app, visitors, { ...deps, program });
  const pages = { ...deps, visitors, program, door, countDeadLetters };
  mountHome(app, pages);
  mountEmails(app, pages);
  mountCompose(app, pages);
  mountWebhooks(app, pages);
  mountSettings(app, pages);
  mountKeys(app, pages);
  mountAudit(app, pages);
  mountHealth(app, pages);
  mountDeadLetters(app, pages);
  mountTheme(app, door);
  // Bookmarks of the time when only captured mails were shown.
  app.get("/captured", (c) => c.redirect("/console/emails", 301));
  app.get("/console/*", async (c) => {
    const visit = await door.enter(c);
    return visit instanceof Response ? visit : await sendMissing(c, visit.frame);
  });
  app.get("/captured/:id", (c) =>
    c.redirect(emailPath(encodeURIComponent(c.req.param("id"))), 301),
  );
}

function createCount({ emails }: Pick<ConsoleDeps, "emails">) {
  const filter = {
    statuses: [...deadLetterStates],
    isDeferred: false,
    isOpen: true,
    tag: null,
    metadata: null,
    addressIndex: null,
    scheduledAfter: null,
    scheduledBefore: null,
  };
  const page = { limit: 1, offset: 0, cursor: null };
  return async (as: Claims): Promise<number> => {
    const { total } = await emails.list(filter, page, as, { totalMax: deadLettersMax });
    return total ?? deadLettersMax + 1;
  };
}

const yearSeconds = 31_536_000;

/** Kept by the browser: it is nobody else's business. */
function mountTheme(app: Hono, door: ReturnType<typeof createDoor>): void {
  app.post("/console/theme", bodyLimit({ maxSize: 4_096 }), async (c) => {
    const visit = await door.act(c, null);
    if (visit instanceof Response) return visit;
    const { theme } = await c.req.parseBody();
    const isNamed = theme === "light" || theme === "dark";
    const rules = { path: "/", httpOnly: true, sameSite: "Strict" } as const;
    setCookie(c, "tfm_theme", isNamed ? theme : "", {
      ...rules,
      maxAge: isNamed ? yearSeconds : 0,
    });
    return c.redirect(ownReferer(c), 303);
  });
}

/** The page whose button was pressed, as long as it is one of ours. */
function ownReferer(c: Context): string {
  const referer = c.req.header("Referer") ?? "";
  if (!URL.canParse(referer)) return "/";
  const { host, pathname, search } = new URL(referer);
  return host === new URL(c.req.url).host && pathname.startsWith("/console/")
    ? `${pathname}${search}`
    : "/";
}
