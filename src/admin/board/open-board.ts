import { createBullBoard } from "@bull-board/api";
import type { UIConfig } from "@bull-board/api/typings/app";
import { Hono } from "hono";
import { createBoardFiles } from "./board-files.ts";
import { refuseActions } from "./board-rules.ts";
import { BoardServer, type BoardServerOptions } from "./board-server.ts";
import { DeadLetterAdapter } from "./dead-letter-adapter.ts";
import { EmailsAdapter, type EmailsAdapterDeps } from "./emails-adapter.ts";
import { type RealQueue, RealQueueAdapter } from "./real-queue-adapter.ts";

type OpenBoardDeps = EmailsAdapterDeps & {
  queues: readonly RealQueue[];
} & Pick<BoardServerOptions, "basePath" | "describe">;

export interface Board {
  /** Null: the board has no such page. */
  answer(request: Request): Promise<Response | null>;
  /** All that it answers. */
  routes: Hono["routes"];
}

const noSuchPage = "x-no-such-page";

const uiConfig: UIConfig = {
  boardTitle: "Queues",
  boardLogo: { path: "/favicon.svg", width: 24, height: 24 },
  favIcon: { default: "/favicon.svg", alternative: "/favicon.svg" },
  miscLinks: [{ text: "Console", url: "/" }],
  // Its documentation is elsewhere on the network and says nothing of this product.
  hideDocsLink: true,
  showMetrics: false,
};

/** Bull Board's pages and its API, without any guard. */
export function openBoard(deps: OpenBoardDeps): Board {
  const { basePath, describe } = deps;
  const server = new BoardServer({ basePath, files: createBoardFiles(), describe });
  createBullBoard({
    queues: [new EmailsAdapter(deps), new DeadLetterAdapter(deps), ...realQueues(deps)],
    serverAdapter: server,
    // Without it Bull Board would look for its files by an eval that fails in a binary.
    options: { uiConfig, uiBasePath: ".", handlerHooks: { before: refuseActions } },
  });
  const app = new Hono();
  app.route(basePath, server.registerPlugin());
  app.notFound((c) => c.body(null, 404, { [noSuchPage]: "" }));
  // What its own routes do not describe is answered where all faults are.
  app.onError((error) => {
    throw error;
  });
  return {
    async answer(request) {
      const response = await app.fetch(request);
      return response.headers.has(noSuchPage) ? null : response;
    },
    routes: app.routes,
  };
}

function realQueues({ queues, who }: OpenBoardDeps): RealQueueAdapter[] {
  return queues.map((queue) => new RealQueueAdapter(queue, who));
}
