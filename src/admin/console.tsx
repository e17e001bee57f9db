import type { Context, Hono } from "hono";
import type { Authenticator } from "../auth/jwt.ts";
import type { PasswordSignIn } from "../auth/password-sign-in.ts";
import type { AppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { mountAssets } from "./assets.ts";
import type { CapturedMails } from "./captured-mails.ts";
import { type FindPause, mountCaptured, sendCapturedList } from "./captured-routes.tsx";
import { ElsewherePage, type MailTrouble } from "./elsewhere-page.tsx";
import { sendPage } from "./page-response.ts";
import type { Sessions } from "./session.ts";
import type { SignInLinks } from "./sign-in-link.ts";
import { SignInPage } from "./sign-in-page.tsx";
import { mountSignIn } from "./sign-in-routes.tsx";
import { createVisitors } from "./visitor.ts";

export interface ConsoleDeps {
  authenticator: Authenticator;
  sessions: Sessions;
  signInLinks: SignInLinks;
  /** Of the users of a Supabase project; absent: there is none. */
  passwords?: PasswordSignIn | undefined;
  /** null: mails are sent, not captured. */
  captured: CapturedMails | null;
  /** Where mails go, as `smtp.example.com:587`. */
  transportName: string;
  /** Why mails do not get out at the moment, or late; null: they do, in time. */
  findTrouble: () => Promise<MailTrouble | null>;
  /** What somebody has paused, as far as this visitor may know. */
  findPause: FindPause;
  publicUrl: string | null;
  /** Whether who connects is a proxy of ours, whose X-Forwarded-Proto counts. */
  isBehindProxy: (c: Context) => boolean;
  /** The visitor's network address for the log; default: unknown. */
  peerAddress?: (c: Context) => string | null;
  /** Counts a sign-in that was refused; an error: there were too many. Default: none are. */
  countFailure?: (c: Context) => Promise<AppError | null>;
  log: Logger;
  /** How this program is called from a shell, for examples; default: by its name. */
  program?: string;
}

/** `/`, sign-in and -out, the captured mails, and the files that these pages need. */
export function mountConsole(app: Hono, deps: ConsoleDeps): void {
  const { captured, transportName, findPause, program = "taskforce-mailer" } = deps;
  const signingIn = { program, hasPasswords: deps.passwords !== undefined };
  const visitors = createVisitors(deps);
  mountAssets(app);
  mountSignIn(app, visitors, { ...deps, program });
  if (captured !== null) mountCaptured(app, visitors, captured, { ...signingIn, findPause });

  app.get("/", async (c) => {
    const visitor = await visitors.recognise(c);
    if (visitor === "refused") return sendPage(c, <SignInPage {...signingIn} />, 401);
    if (visitor === null) {
      // A browser that follows a link from another site holds a strict cookie back, but sends
      // it when our own page asks again.
      const isReloading = c.req.header("Sec-Fetch-Site") === "cross-site";
      return sendPage(c, <SignInPage {...signingIn} isReloading={isReloading} />);
    }
    const pause = findPause(visitor);
    const example = { baseUrl: visitors.baseUrl(c), program };
    if (captured !== null && visitor.isAdmin) {
      return await sendCapturedList(c, { principal: visitor, pause }, captured, example);
    }
    const name = captured === null ? transportName : null;
    const about = { transportName: name, trouble: await deps.findTrouble(), pause, example };
    return sendPage(c, <ElsewherePage principal={visitor} {...about} />);
  });
}
