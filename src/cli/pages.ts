import { type Context, Hono } from "hono";
import { mountBoard } from "../admin/board.ts";
import { mountConsole } from "../admin/console.tsx";
import type { MailTrouble } from "../admin/elsewhere-page.tsx";
import type { PauseNotice } from "../admin/page.tsx";
import { createSessions } from "../admin/session.ts";
import type { SignInLinks } from "../admin/sign-in-link.ts";
import type { Authenticator } from "../auth/jwt.ts";
import type { PasswordSignIn } from "../auth/password-sign-in.ts";
import type { Principal } from "../auth/principal.ts";
import type { Config } from "../config.ts";
import { pausesShownTo } from "../http/pause-sending.ts";
import type { RateLimits } from "../http/rate-limits.ts";
import type { Logger } from "../log.ts";
import { listCaptured, readCaptured } from "../mail/captured.ts";
import { type TickJob, tickQueueName } from "../queue/ticks.ts";
import type { Pause } from "../store/pauses.ts";
import { createSessionStore } from "../store/sessions.ts";
import { nobodySends, transportWords } from "./health-of-fleet.ts";
import type { Parts } from "./parts.ts";
import { pauseWords } from "./pause-words.ts";

export interface PagesDeps {
  config: Config;
  parts: Parts;
  authenticator: Authenticator;
  passwords: PasswordSignIn | undefined;
  signInLinks: SignInLinks;
  rateLimits: RateLimits;
  peerAddress: (c: Context) => string | null;
  isBehindProxy: (c: Context) => boolean;
  log: Logger;
}

/** What is for browsers: the console and the board of the queues. */
export function createPages(deps: PagesDeps): Hono {
  const { config, parts } = deps;
  const shared = {
    authenticator: deps.authenticator,
    sessions: createSessions({ store: createSessionStore(parts.database) }),
    publicUrl: config.http.publicUrl,
    isBehindProxy: deps.isBehindProxy,
    program: programOf(config),
    peerAddress: deps.peerAddress,
    log: deps.log,
  };
  const pages = new Hono();
  mountConsole(pages, {
    ...shared,
    signInLinks: deps.signInLinks,
    passwords: deps.passwords,
    countFailure: (c) => deps.rateLimits.fail(deps.peerAddress(c), "sign_in"),
    captured: config.transport.kind === "capture" ? capturedMails(config.dataDir) : null,
    transportName: parts.sender.name,
    findTrouble: () => findTrouble(parts),
    findPause: (visitor) => findPause(visitor, config, parts),
  });
  mountBoard(pages, {
    ...shared,
    ...parts,
    // A connection of its own: what somebody looks at must not hold up what is added.
    queue: parts.queue && parts.backend.createQueue<TickJob>(tickQueueName),
    region: config.region,
    hasPasswords: deps.passwords !== undefined,
  });
  return pages;
}

/** Of all processes, wherever they run. */
async function findTrouble({ fleet, queueHealth }: Parts): Promise<MailTrouble | null> {
  const view = await fleet.view();
  if (view === null) return null;
  if (view.senders === 0) return { isStopped: true, words: nobodySends };
  const down = transportWords(view.transports);
  const isStopped = view.transports.every(({ detail }) => detail !== null);
  if (down !== "") return { isStopped, words: down };
  const { state, detail, advice } = queueHealth.last;
  const words = state === "ok" ? view.otherQueues[0] : `${detail}; ${advice}`;
  return words === undefined ? null : { isStopped: false, words };
}

function findPause(visitor: Principal, { region }: Config, { pauses }: Parts): PauseNotice | null {
  const shown = pausesShownTo(visitor, pauses.last);
  if (shown.length === 0) return null;
  const stops = ({ kind, name }: Pause) => name === (kind === "region" ? region : visitor.ownerId);
  return { isStopped: shown.some(stops), words: pauseWords(shown) };
}

function capturedMails(dataDir: string) {
  return {
    list: (limit: number) => listCaptured(dataDir, { limit }),
    read: (emailId: string) => readCaptured(dataDir, emailId),
  };
}

/** Where the secret lies in DATA_DIR the command names it; elsewhere strangers learn no path. */
function programOf({ database, isProduction, dataDir }: Config): string {
  const isLaptop = database.driver === "pglite" && !isProduction;
  return isLaptop ? `DATA_DIR=${dataDir} ${process.execPath}` : "taskforce-mailer";
}
