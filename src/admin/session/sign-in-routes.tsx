import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { PasswordSignIn } from "../../auth/password-sign-in.ts";
import type { Principal } from "../../auth/principal.ts";
import type { AppError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { sendPage } from "../page-response.ts";
import type { SignInProof } from "./session.ts";
import { accountOf, checkForm, type Refusal } from "./sign-in-form.ts";
import { createSignInLimit, type SignInLimit } from "./sign-in-limit.ts";
import type { SignInLinks } from "./sign-in-link.ts";
import { SignInPage } from "./sign-in-page.tsx";
import type { Visitors } from "./visitor.ts";

const formBytesMax = 16 * 1024;

export interface SignInDeps {
  signInLinks: SignInLinks;
  /** Of the users of a Supabase project; absent: there is none. */
  passwords?: PasswordSignIn | undefined;
  signInLimit?: SignInLimit;
  peerAddress?: (c: Context) => string | null;
  /** Counts a refusal for all processes of the region; an error: there were too many. */
  countFailure?: (c: Context) => Promise<AppError | null>;
  log: Logger;
  program: string;
}

export function mountSignIn(app: Hono, visitors: Visitors, deps: SignInDeps): void {
  const { signInLinks: links, signInLimit = createSignInLimit() } = deps;
  const refuse = createRefuse(visitors, deps);
  const addressOf = (c: Context) => deps.peerAddress?.(c) ?? null;

  /** Counts a token or a link after it was checked: a visitor with a valid one never waits. */
  const refuseGuess = async (c: Context, refusal: Refusal, next?: string) => {
    const turn = signInLimit.fail(addressOf(c));
    return await refuse(c, turn.kind === "wait" ? tooMany(turn.seconds) : refusal, next);
  };

  app.get("/sign-in", async (c) => {
    const code = c.req.query("code");
    const visitor = await visitors.recognise(c);
    const isKnown = visitor !== null && visitor !== "refused";
    if (isKnown || code === undefined) return c.redirect("/", 303);
    // HEAD comes here too: a preview of the link must not use it up.
    if (c.req.method !== "GET") return sendPage(c, signInPage(deps));
    if (!links.redeem(code)) return await refuseGuess(c, usedLink);
    await visitors.signIn(c, { principal: bearerOfLink, via: "link", proof: linkProof });
    logSignedIn(c, deps, bearerOfLink.ownerId);
    return c.redirect("/", 303);
  });

  app.post("/sign-in", bodyLimit({ maxSize: formBytesMax }), async (c) => {
    if (!visitors.isOwnChange(c)) return sendForeign(c, deps);
    const form = await c.req.parseBody();
    const next = ownPath(form.next);
    const account = accountOf(form, deps);
    if (account !== null) {
      const turn = signInLimit.takePassword(account, addressOf(c));
      if (turn.kind === "wait") return await refuse(c, tooMany(turn.seconds), next);
    }
    const checked = await checkForm(form, { ...deps, visitors });
    const isRight = checked.kind === "known";
    // A service that does not answer was not guessed at, nor was a password that is right so far.
    const isAsked = !isRight && checked.code === "second_factor";
    const isGuess = !isRight && checked.status !== 503 && !isAsked;
    if (account !== null && !isGuess) {
      signInLimit.giveBackPassword(account, addressOf(c), isRight);
    }
    if (!isRight) return await (account === null ? refuseGuess : refuse)(c, checked, next);
    await visitors.signIn(c, checked);
    logSignedIn(c, deps, checked.principal.ownerId);
    return c.redirect(next, 303);
  });

  app.post("/sign-out", bodyLimit({ maxSize: formBytesMax }), async (c) => {
    if (!visitors.isOwnChange(c)) return sendForeign(c, deps);
    const { everywhere } = await c.req.parseBody();
    await visitors.signOut(c, { isEverywhere: everywhere === "true" });
    return c.redirect("/", 303);
  });
}

/** Back to the page that was asked for; to nowhere but here, whoever made up the form. */
function ownPath(next: unknown): string {
  if (typeof next !== "string" || !/^\/(?![/\\])[^\\\s]{0,1000}$/.test(next)) return "/";
  return next.startsWith("/sign-") ? "/" : next;
}

/** The operator, who has read the link where the server was started; no user has this name. */
const bearerOfLink: Principal = {
  ownerId: "taskforce-mailer:console",
  isAdmin: true,
  credential: "session",
};
const linkProof: SignInProof = {
  signingKey: null,
  secretKey: null,
  tokenExpiresAt: null,
  refreshToken: null,
};

function signInPage(
  { program, passwords }: SignInDeps,
  fault?: string,
  next = "/",
  asksCodeOf?: string,
) {
  const hasPasswords = passwords !== undefined;
  return (
    <SignInPage
      program={program}
      hasPasswords={hasPasswords}
      next={next}
      {...(fault === undefined ? {} : { fault })}
      {...(asksCodeOf === undefined ? {} : { asksCodeOf })}
    />
  );
}

/** Nothing is counted and nothing noted: whoever sent this is another site, or another program. */
function sendForeign(c: Context, deps: SignInDeps): Promise<Response> {
  return sendPage(c, signInPage(deps, foreign), 403);
}

const foreign = "This did not come from our own page, so nothing was done.";

const usedLink: Refusal = {
  status: 401,
  code: "link_used_or_old",
  fault: "This link was used already, or is too old. Restart the server, or use a token.",
};

/** Neither in the journal nor, word by word, in the log: a flood must not fill them. */
function tooMany(seconds: number): Refusal {
  const minutes = Math.ceil(seconds / 60);
  const fault = `Too many tries. Wait ${minutes === 1 ? "a minute" : `${minutes} minutes`}.`;
  return { status: 429, code: "too_many_tries", fault, retryAfterSeconds: seconds };
}

function rateLimited({ code, publicDetail, retryAfterSeconds = 60 }: AppError): Refusal {
  return { status: 429, code, fault: publicDetail, retryAfterSeconds };
}

/** Answers, logs and notes it, from where; never what was shown. */
function createRefuse(visitors: Visitors, deps: SignInDeps) {
  return async (c: Context, asJudged: Refusal, next?: string): Promise<Response> => {
    const tooOften = (await deps.countFailure?.(c)) ?? null;
    const refusal = tooOften === null ? asJudged : rateLimited(tooOften);
    const { status, code, fault, cause, retryAfterSeconds, asksCodeOf } = refusal;
    const why = cause === undefined ? {} : { err: cause };
    const isFlood = code === "too_many_tries" || code === "rate_limited";
    deps.log[isFlood ? "debug" : "warn"]("sign-in refused", { code, ...hostOf(c, deps), ...why });
    if (!isFlood) await visitors.noteRefused(c, code);
    if (retryAfterSeconds !== undefined) c.header("Retry-After", String(retryAfterSeconds));
    return sendPage(c, signInPage(deps, fault, next, asksCodeOf), status);
  };
}

function logSignedIn(c: Context, deps: SignInDeps, owner: string): void {
  deps.log.info("signed in", { owner, ...hostOf(c, deps) });
}

function hostOf(c: Context, { peerAddress }: SignInDeps): { host?: string } {
  const host = peerAddress?.(c) ?? null;
  return host === null ? {} : { host };
}
