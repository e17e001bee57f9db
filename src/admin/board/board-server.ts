import { createHash } from "node:crypto";
import type { AppViewRoute, ControllerHandlerReturnType } from "@bull-board/api/typings/app";
import { HonoAdapter } from "@bull-board/hono";
import { type Context, Hono } from "hono";
import type { BoardFailure } from "./board-failure.ts";
import type { BoardFiles } from "./board-files.ts";
import { sendBoardPage } from "./board-page.tsx";

export interface BoardServerOptions {
  /** Where the board is mounted, as `/admin/queues`. */
  basePath: string;
  files: () => Promise<BoardFiles>;
  describe: (error: unknown) => BoardFailure;
}

/**
 * Bull Board's adapter for Hono, without its two reads from the disk: it looks for the files
 * of the front end and for the template of the page relative to the working directory.
 */
export class BoardServer extends HonoAdapter {
  readonly #options: BoardServerOptions;

  constructor(options: BoardServerOptions) {
    super(() => (c: Context) => sendBoardFile(c, options));
    this.#options = options;
    this.setBasePath(options.basePath);
  }

  override setErrorHandler(): this {
    // What it calls a status is a number to Hono, and knows no 503.
    const describe = this.#options.describe as (error: Error) => ControllerHandlerReturnType;
    return super.setErrorHandler((error) => describe(error));
  }

  override registerPlugin() {
    const { files } = this.#options;
    const entry = this.entryRoute;
    if (entry === undefined) throw new Error("createBullBoard has to come first");
    const app = new Hono();
    app.get("/static/*", this.serveStatic({}) as (c: Context) => Promise<Response>);
    app.route("/", this.apiRoutes);
    for (const route of [entry.route].flat()) {
      app.get(route, async (c) =>
        sendBoardPage(c, { ...this.#pageParams(entry), files: await files() }),
      );
    }
    return app;
  }

  #pageParams(entry: AppViewRoute) {
    const { basePath } = this.#options;
    const { params } = entry.handler({ basePath, uiConfig: this.uiConfig ?? {} });
    const { title = "", uiConfig = "{}" } = params;
    return { basePath: params.basePath ?? basePath, title, uiConfig };
  }
}

/** Names carry a hash of the content, so a browser may keep them; but not share them: see board.ts. */
const hashedName = /\.[0-9a-f]{8,}\.\w+$/;

async function sendBoardFile(
  c: Context,
  { basePath, files }: BoardServerOptions,
): Promise<Response> {
  const path = c.req.path.slice(basePath.length + 1);
  const content = (await files()).get(path);
  if (content === undefined) return c.notFound();
  const etag = `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
  const headers = {
    "Content-Type": Bun.file(path).type,
    "Cache-Control": hashedName.test(path)
      ? "private, max-age=31536000, immutable"
      : "private, no-cache",
    "X-Content-Type-Options": "nosniff",
    // Its worker for colouring JSON loads more scripts, under the policy of its own file.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'",
    ETag: etag,
  };
  return c.req.header("If-None-Match") === etag
    ? c.body(null, 304, headers)
    : c.body(content, 200, headers);
}
