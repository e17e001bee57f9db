import type { Context } from "hono";
import { getCookie } from "hono/cookie";
import { missingScope, type Principal, type Right } from "../../auth/principal.ts";
import type { Claims } from "../../store/database.ts";
import type { MailTrouble, PauseNotice } from "../notices.ts";
import { sendPage } from "../page-response.ts";
import { SignInPage } from "../session/sign-in-page.tsx";
import type { Visitors } from "../session/visitor.ts";
import { takeFlash } from "./flash.ts";
import { type Alert, type Frame, FramedPage, type Theme } from "./frame.tsx";
import { isZone } from "./words.ts";

export interface DoorDeps {
  visitors: Visitors;
  /** How this program is called from a shell. */
  program: string;
  /** Whether the users of a Supabase project may come in. */
  hasPasswords: boolean;
  /** Why mails do not get out at the moment, or late; null: they do, in time. */
  findTrouble: () => Promise<MailTrouble | null>;
  /** What somebody has paused, as far as this visitor may know. */
  findPause: (visitor: Principal) => PauseNotice | null;
  /** Up to `deadLettersMax`. */
  countDeadLetters: (as: Claims) => Promise<number>;
  /** The visitor's network address for the journal; null when unknown. */
  originOf: (c: Context) => string | null;
  now: () => Date;
}

/** Somebody who is signed in, as the pages and what they do need to know them. */
export interface Visit {
  frame: Frame;
  claims: Claims;
  origin: string | null;
}

/**
 * Lets those in who are signed in; anybody else gets the page to sign in, at the same address. A
 * visitor by API key may do what its scopes allow, as at the API; else the answer is 403.
 */
export interface Door {
  /** For a page, which takes the scope `read`: with everything that its frame shows. */
  enter(c: Context): Promise<Visit | Response>;
  /** For a part that a page fetches by itself, with the scope `read`. */
  slip(c: Context): Promise<Visit | Response>;
  /**
   * For a form of our own pages. `right` defaults to `send_and_read`, as the answer is a page, with its
   * faults beside what there is; null: no email is touched.
   */
  act(c: Context, right?: Right | null): Promise<Visit | Response>;
}

export function createDoor(deps: DoorDeps): Door {
  const { visitors, program, hasPasswords } = deps;

  async function recognise(c: Context, right: Right | null): Promise<Principal | Response> {
    const visitor = await visitors.recognise(c);
    if (visitor !== null && visitor !== "refused") {
      const missing = right === null ? null : missingScope(visitor, right);
      return missing === null ? visitor : await sendRefused(c, visitOf(c, visitor, {}), missing);
    }
    // A browser that follows a link from another site holds a strict cookie back, but sends
    // it when our own page asks again.
    const isReloading = visitor === null && c.req.header("Sec-Fetch-Site") === "cross-site";
    const page = { program, hasPasswords, isReloading, next: nextOf(c) };
    const isHome = c.req.path === "/" && visitor === null;
    return await sendPage(c, <SignInPage {...page} />, isHome ? 200 : 401);
  }

  function visitOf(c: Context, principal: Principal, shown: Partial<Frame>): Visit {
    const cookie = { theme: getCookie(c, "tfm_theme"), zone: getCookie(c, "tfm_zone") };
    const { zone = "UTC" } = cookie;
    const frame: Frame = {
      principal,
      theme: themes.find((theme) => theme === cookie.theme) ?? null,
      zone: isZone(zone) ? zone : "UTC",
      now: deps.now(),
      alerts: [],
      deadLetters: 0,
      flash: null,
      ...shown,
    };
    return { frame, claims: claimsOf(principal), origin: deps.originOf(c) };
  }

  async function findAlerts(principal: Principal): Promise<Alert[]> {
    const pause = deps.findPause(principal);
    const trouble = await deps.findTrouble();
    return [
      ...(trouble === null ? [] : [{ kind: "trouble" as const, ...trouble }]),
      ...(pause === null ? [] : [{ kind: "pause" as const, ...pause }]),
    ];
  }

  return {
    async enter(c) {
      const principal = await recognise(c, "read");
      if (principal instanceof Response) return principal;
      const [alerts, deadLetters] = await Promise.all([
        findAlerts(principal),
        deps.countDeadLetters(claimsOf(principal)),
      ]);
      return visitOf(c, principal, { alerts, deadLetters, flash: takeFlash(c) });
    },
    async slip(c) {
      const principal = await recognise(c, "read");
      return principal instanceof Response ? principal : visitOf(c, principal, {});
    },
    async act(c, right = "send_and_read") {
      const principal = await recognise(c, right);
      if (principal instanceof Response) return principal;
      if (!visitors.isOwnChange(c)) return await sendForeign(c, visitOf(c, principal, {}));
      return visitOf(c, principal, {});
    },
  };
}

const themes: readonly Theme[] = ["light", "dark"];

function claimsOf({ isAdmin, ownerId }: Principal): Claims {
  return { role: isAdmin ? "admin" : "user", sub: ownerId };
}

/** Where to go after signing in; a form's own address has no page. */
function nextOf(c: Context): string {
  const { pathname, search } = new URL(c.req.url);
  return c.req.method === "GET" ? `${pathname}${search}` : "/";
}

function sendForeign(c: Context, visit: Visit): Promise<Response> {
  return sendNothingDone(c, visit, "This did not come from our own page, so nothing was done.");
}

function sendRefused(c: Context, visit: Visit, missing: string): Promise<Response> {
  return sendNothingDone(c, visit, `This takes an API key with the scope ${missing}.`);
}

function sendNothingDone(c: Context, { frame }: Visit, words: string): Promise<Response> {
  const page = (
    <FramedPage frame={frame} title="Nothing was done">
      <section class="card notice">
        <h1>Nothing was done</h1>
        <p>{words}</p>
      </section>
    </FramedPage>
  );
  return sendPage(c, page, 403);
}
