import type { Context } from "hono";
import { raw } from "hono/html";
import { sendPage } from "../page-response.ts";
import type { BoardFiles } from "./board-files.ts";

export interface BoardPageParams {
  /** With a trailing slash: the front end's own paths are relative to it. */
  basePath: string;
  title: string;
  /** JSON without `<` and `>`. */
  uiConfig: string;
  files: BoardFiles;
}

/**
 * As on our other pages, but that paths are relative to a base of our own, and that the front
 * end may add style elements (its menus do), never scripts and no style attributes in its HTML.
 */
const boardPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'none'; " +
  "style-src-elem 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
  "font-src 'self'; worker-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

/**
 * The page that Bull Board's template `index.ejs` makes, but for what would need an exception in
 * the policy or a request to elsewhere: an inline style and a font of Google's. The configuration
 * is a data block, which no browser runs.
 */
export function sendBoardPage(c: Context, params: BoardPageParams): Promise<Response> {
  const { basePath, title, uiConfig } = params;
  const { scripts, styles } = namesInTemplate(params.files);
  const page = (
    <html lang="en" dir="ltr">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <base href={basePath} />
        <title>{title}</title>
        <link rel="icon" href="/favicon.svg" type="image/svg+xml" id="fav-logo" />
        {styles.map((href) => (
          <link rel="stylesheet" href={href} />
        ))}
        <link rel="stylesheet" href="/assets/board.css" />
      </head>
      <body class="preload">
        <script id="__UI_CONFIG__" type="application/json">
          {raw(uiConfig)}
        </script>
        <div id="root">
          <p class="board-loading">Loading…</p>
        </div>
        <script defer src="/assets/board.js" />
        {scripts.map((src) => (
          <script defer src={src} />
        ))}
      </body>
    </html>
  );
  return sendPage(c, page, 200, boardPolicy);
}

/** Their names carry hashes that change with every version; the template knows them. */
function namesInTemplate(files: BoardFiles): { scripts: string[]; styles: string[] } {
  const template = new TextDecoder().decode(files.get("index.ejs"));
  const names = (pattern: RegExp) => [...template.matchAll(pattern)].map(([, name = ""]) => name);
  return {
    scripts: names(/<script[^>]+src="(static\/[^"]+)"/g),
    styles: names(/<link[^>]+href="(static\/[^"]+\.css)"/g),
  };
}
