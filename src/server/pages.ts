import { type Context, Hono } from "hono";
import type { Acting } from "../admin/acting.ts";
import { mountBoard } from "../admin/board/board.ts";
import { mountConsole } from "../admin/console.tsx";
import { type LiveDeps, mountLive } from "../admin/live.ts";
import type { MailTrouble, PauseNotice } from "../admin/notices.ts";
import type { SignInLinks } from "../admin/session/sign-in-link.ts";
import { createVisitors } from "../admin/session/visitor.ts";
import type { Authenticator, JwtSecrets } from "../auth/jwt.ts";
import type { PasswordSignIn, TokenRefresh } from "../auth/password-sign-in.ts";
import type { Principal } from "../auth/principal.ts";
import type { SigningKeys } from "../auth/signing-keys.ts";
import type { Config, Environment } from "../config.ts";
import { settingsOf } from "../config-settings.ts";
import { nobodySends, transportWords } from "../doctor/health-of-fleet.ts";
import { pauseWords } from "../doctor/pause-words.ts";
import { makeApiKey } from "../http/credentials/create-api-key.ts";
import type { RateLimits } from "../http/middleware/rate-limits.ts";
import { isPauseReason, pausesShownTo } from "../http/operations/pause-sending.ts";
import { draftWarnings } from "../http/request/draft-warnings.ts";
import { toDraft } from "../http/request/to-draft.ts";
import { toEdit } from "../http/request/to-edit.ts";
import { changeWebhook, makeWebhook } from "../http/webhooks/webhooks.ts";
import { sealedFirst } from "../journal/sealed-first.ts";
import type { Logger } from "../log.ts";
import { tickQueueName } from "../queue/ticks.ts";
import { createActions } from "../store/actions.ts";
import type { ApiKeys } from "../store/api-keys.ts";
import { createAudit } from "../store/audit.ts";
import type { Pause } from "../store/pauses.ts";
import { createTimelines } from "../store/timeline.ts";
import { createConsoleSessions } from "./console-sessions.ts";
import { type DocumentationDeps, mountDocumentation } from "./documentation.ts";
import { checkHealth } from "./health.ts";
import { maintenanceQueueName } from "./maintenance.ts";
import type { Parts } from "./parts.ts";
import { webhookQueueName } from "./webhook-parts.ts";

export interface PagesDeps {
  config: Config;
  parts: Parts;
  authenticator: Authenticator;
  apiKeys: ApiKeys;
  jwtSecrets: JwtSecrets;
  signingKeys: SigningKeys | undefined;
  passwords: PasswordSignIn | undefined;
  refreshToken: TokenRefresh | undefined;
  signInLinks: SignInLinks;
  rateLimits: RateLimits;
  peerAddress: (c: Context) => string | null;
  isBehindProxy: (c: Context) => boolean;
  /** `isDraining`: the process is stopping. */
  state: { isPrepared: boolean; isDraining: boolean };
  io: { env: Environment };
  log: Logger;
}

/** The pages for browsers: the console and the board of the queues. */
export function createPages(deps: PagesDeps): Hono {
  const { config, parts } = deps;
  const { reconcileIntervalMs } = config;
  const shared = { ...visitorsOptions(deps), program: programOf(config), log: deps.log };
  // Once: what is set later changes nothing of this process.
  const settings = settingsOf(deps.io.env);
  const pages = new Hono();
  mountConsole(pages, {
    ...shared,
    signInLinks: deps.signInLinks,
    passwords: deps.passwords,
    countFailure: (c) => deps.rateLimits.fail(deps.peerAddress(c), "sign_in"),
    emails: parts.emails,
    keyRing: parts.keyRing,
    semaphore: parts.semaphore,
    change: parts.change,
    bulk: {
      deadLetters: parts.deadLetters,
      bulkCancel: parts.bulkCancel,
      bulkChange: parts.bulkChange,
      isDraining: () => deps.state.isDraining,
      newId: () => Bun.randomUUIDv7(),
      log: deps.log,
    },
    timelines: createTimelines(parts.database),
    accept: parts.accept,
    settings: () => settings,
    webhooks: parts.webhooks,
    endpoints: parts.endpoints,
    makeWebhook: (body, by) => makeWebhook(parts, body, by),
    changeWebhook: (webhook, body, by) => changeWebhook(parts, webhook, body, by),
    apiKeys: deps.apiKeys,
    makeApiKey: (body, by) => makeApiKey(deps, body, by),
    audit: sealedFirst(createAudit(parts.database), parts.sealer),
    health: () => checkHealth({ ...parts, reconcileIntervalMs }, deps.state),
    ...runningOf(parts),
    pauses: parts.pauses,
    pausesShownTo: (visitor) => pausesShownTo(visitor, parts.pauses.last),
    isPauseReason,
    regions: () => [
      ...new Set([config.region, ...(parts.reconciler.report().regionStatus?.regions ?? [])]),
    ],
    senderName: config.sender.from,
    toDraft: (body) => {
      const regions = parts.reconciler.report().regionStatus?.regions ?? [];
      return toDraft(body, { config, now: parts.clockSkew.now(), regions });
    },
    draftWarnings: (draft, sizeBytes) => draftWarnings(draft, sizeBytes, parts.clockSkew.now()),
    toEdit: (body, current, { isReplay }) =>
      toEdit(body, current, { config, now: parts.clockSkew.now(), isReplay }),
    now: () => parts.clockSkew.now(),
    findTrouble: () => findTrouble(parts),
    findPause: (visitor) => findPause(visitor, config, parts),
  });
  mountBoard(pages, {
    ...shared,
    ...parts,
    queues: realQueues(parts),
    region: config.region,
    hasPasswords: deps.passwords !== undefined,
  });
  return pages;
}

/** By connections of their own: what somebody looks at must not hold up what is added. */
function realQueues({ backend, database }: Parts) {
  if (!backend.isShared) return [];
  const wakes = "What wakes the workers: one job for all that is due within 100 ms.";
  const delivers = "What wakes whoever delivers to webhooks, once for all that was sealed.";
  return [
    { queue: backend.createQueue(tickQueueName), description: wakes },
    { queue: backend.createQueue(webhookQueueName), description: delivers },
    {
      queue: backend.createQueue(maintenanceQueueName),
      description:
        "Periodic work: the progress of a job is its result. Promote runs the next one now.",
      onRunNow: async (task: string, { claims, origin }: Acting) => {
        const action = { action: "maintenance.run_now", detail: { task }, origin } as const;
        await createActions(database).record(action, claims);
      },
    },
  ];
}

/** How the service runs, in all processes. */
function runningOf({ minutes, processes, probeRequests, reconciler }: Parts) {
  const skewMs = () => ({ ...reconciler.report().skewMs });
  return { minutes, processes, probeRequests, skewMs };
}

/** The documentation, with the API that its reader may try. */
export function mountDocumentationPages(
  pages: Hono,
  deps: PagesDeps,
  api: Omit<DocumentationDeps, "visitors">,
): void {
  mountDocumentation(pages, { ...api, visitors: createVisitors(visitorsOptions(deps)) });
}

/** What happens, for pages that are open. */
export function mountLivePages(pages: Hono, deps: PagesDeps, call: LiveDeps["call"]): void {
  mountLive(pages, { visitors: createVisitors(visitorsOptions(deps)), call });
}

function visitorsOptions({ config, parts, ...deps }: PagesDeps) {
  return {
    authenticator: deps.authenticator,
    sessions: createConsoleSessions({ ...deps, database: parts.database }),
    publicUrl: config.http.publicUrl,
    isProduction: config.isProduction,
    isBehindProxy: deps.isBehindProxy,
    peerAddress: deps.peerAddress,
    guesses: {
      assertMay: (c: Context) => deps.rateLimits.assertMayGuess(deps.peerAddress(c)),
      count: (c: Context) => deps.rateLimits.fail(deps.peerAddress(c), "credential"),
    },
  };
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
  const stops = ({ kind, name }: Pause) =>
    kind === "database" || name === (kind === "region" ? region : visitor.ownerId);
  // How many emails of others there are is nobody else's business.
  const told = visitor.isAdmin ? shown : shown.map(({ restored: _, ...pause }) => pause);
  return { isStopped: shown.some(stops), words: pauseWords(told) };
}

/** Where the secret lies in DATA_DIR the command names it; elsewhere strangers learn no path. */
export function programOf({ database, isProduction, dataDir }: Config): string {
  const isLaptop = database.driver === "pglite" && !isProduction;
  return isLaptop ? `DATA_DIR=${dataDir} ${process.execPath}` : "taskforce-mailer";
}
