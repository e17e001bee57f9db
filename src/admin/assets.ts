import { createHash } from "node:crypto";
import type { Hono } from "hono";
import board from "../../public/board.css" with { type: "text" };
import boardScript from "../../public/board.js" with { type: "text" };
import script from "../../public/console.js" with { type: "text" };
import icon from "../../public/favicon.svg" with { type: "text" };
import mails from "../../public/mails.css" with { type: "text" };
import style from "../../public/style.css" with { type: "text" };

interface Asset {
  path: string;
  contentType: string;
  text: string;
}

const svg = "image/svg+xml; charset=utf-8";
const assets: readonly Asset[] = [
  { path: "/assets/style.css", contentType: "text/css; charset=utf-8", text: style },
  { path: "/assets/mails.css", contentType: "text/css; charset=utf-8", text: mails },
  { path: "/assets/console.js", contentType: "text/javascript; charset=utf-8", text: script },
  { path: "/assets/board.css", contentType: "text/css; charset=utf-8", text: board },
  { path: "/assets/board.js", contentType: "text/javascript; charset=utf-8", text: boardScript },
  { path: "/favicon.svg", contentType: svg, text: icon },
  // Browsers ask for it unbidden, and go by the content type, not by the name.
  { path: "/favicon.ico", contentType: svg, text: icon },
];

/** They are the same for everybody and say nothing of anyone: no credential, and cacheable. */
export function mountAssets(app: Hono): void {
  for (const { path, contentType, text } of assets) {
    const etag = `"${createHash("sha256").update(text).digest("base64url").slice(0, 22)}"`;
    const headers = {
      "Content-Type": contentType,
      "Cache-Control": "no-cache",
      "X-Content-Type-Options": "nosniff",
      "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
      ETag: etag,
    };
    app.get(path, (c) =>
      c.req.header("If-None-Match") === etag
        ? c.body(null, 304, headers)
        : c.body(text, 200, headers),
    );
  }
}
