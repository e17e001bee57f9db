import type { Context, Hono, Next } from "hono";
import { AppError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { within } from "../../runtime/abortable.ts";
import { createActing } from "../acting.ts";
import { createAdmission } from "../session/admission.tsx";
import { createVisitors, type VisitorsOptions } from "../session/visitor.ts";
import { boardFailure } from "./board-failure.ts";
import type { EmailsAdapterDeps } from "./emails-adapter.ts";
import type { Board } from "./open-board.ts";
import type { RealQueue } from "./real-queue-adapter.ts";

export interface BoardDeps extends VisitorsOptions, Omit<EmailsAdapterDeps, "who"> {
  /** The queues of BullMQ; none where no process can hear of another. */
  queues: readonly RealQueue[];
  /** The caller's network address for the journal; null when unknown. */
  peerAddress: (c: Context) => string | null;
  log: Logger;
  /** How this program is called from a shell, for the sign-in page; default: by its name. */
  program?: string;
  /** For the sign-in page: whether the users of a Supabase project may come in. */
  hasPasswords?: boolean;
}

export const boardPath = "/admin/queues";
/** BullMQ waits for a Redis that is gone, without an end; nobody at a browser does. */
const answerWithinMs = 4_500;

/**
 * Bull Board at `/admin/queues`, for admins: everything to see, little to press. It is loaded when
 * somebody looks for the first time: most servers are never asked, and it is 3.4 MB of an idle
 * server's 88.
 */
export function mountBoard(app: Hono, deps: BoardDeps): void {
  const acting = createActing();
  const { who } = acting;
  const describe = (error: unknown) => describeFailure(error, deps.log);
  let board: Promise<Board> | null = null;
  const open = async (): Promise<Board> => {
    const { openBoard } = await import("./open-board.ts");
    return openBoard({ ...deps, who, describe, basePath: boardPath });
  };
  app.use(`${boardPath}/*`, createGuard(deps, acting));
  app.use(`${boardPath}/api/*`, deadline);
  app.get(`${boardPath}/`, (c) => c.redirect(boardPath, 301));
  app.all(`${boardPath}/*`, async (c, next) => {
    board ??= open();
    return (await (await board).answer(c.req.raw)) ?? (await next());
  });
}

/** No file and no answer for anybody but an admin, and no change but from our own page. */
function createGuard(deps: BoardDeps, acting: ReturnType<typeof createActing>) {
  const visitors = createVisitors(deps);
  const reason = "The queues show everybody's emails.";
  const { program = "taskforce-mailer", hasPasswords } = deps;
  const admit = createAdmission(visitors, { program, hasPasswords, reason });
  return async (c: Context, next: Next): Promise<Response | undefined> => {
    const principal = await admit(c);
    if (principal instanceof Response) return principal;
    const isRead = c.req.method === "GET" || c.req.method === "HEAD";
    // Two signs of our own page: the header, which no form can carry, and where it came from.
    const isOurs = c.req.header("X-Requested-With") !== undefined && visitors.isOwnChange(c);
    if (!isRead && !isOurs) return refuse(c, foreign);
    const claims = { role: "admin", sub: principal.ownerId } as const;
    await acting.run({ claims, origin: deps.peerAddress(c) }, next);
    return undefined;
  };
}

const foreign = "This did not come from our own page, so nothing was done.";

function refuse(c: Context, publicDetail: string): Response {
  const { status, body } = boardFailure(new AppError("forbidden", { publicDetail }));
  return c.json(body, status);
}

/** Only reading asks Redis; what changes something asks the database alone. */
async function deadline(c: Context, next: Next): Promise<Response | undefined> {
  const answered = next().then(() => true);
  return (await within(answered, answerWithinMs)) ? undefined : unavailable(c);
}

function unavailable(c: Context): Response {
  const publicDetail =
    "The queue does not answer. Everything else can be seen and done by the API.";
  const { status, body } = boardFailure(new AppError("overloaded", { publicDetail }));
  return c.json(body, status);
}

function describeFailure(error: unknown, log: Logger) {
  const failure = boardFailure(error);
  if (failure.status === 500) log.error("board", { err: error });
  return failure;
}
