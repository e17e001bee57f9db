import { createHash } from "node:crypto";
import type { Hono } from "hono";
import board from "../../public/board.css" with { type: "text" };
import boardScript from "../../public/board.js" with { type: "text" };
import compose from "../../public/console/compose.css" with { type: "text" };
import email from "../../public/console/email.css" with { type: "text" };
import frame from "../../public/console/frame.css" with { type: "text" };
import health from "../../public/console/health.css" with { type: "text" };
import home from "../../public/console/home.css" with { type: "text" };
import list from "../../public/console/list.css" with { type: "text" };
import narrow from "../../public/console/narrow.css" with { type: "text" };
import objects from "../../public/console/objects.css" with { type: "text" };
import script from "../../public/console.js" with { type: "text" };
import docs from "../../public/docs.css" with { type: "text" };
import docsScript from "../../public/docs.js" with { type: "text" };
import icon from "../../public/favicon.svg" with { type: "text" };
import liveScript from "../../public/live.js" with { type: "text" };
import reference from "../../public/reference.css" with { type: "text" };
import referenceScript from "../../public/reference.js" with { type: "text" };
import style from "../../public/style.css" with { type: "text" };
import wayOfAnEmail from "../../public/way-of-an-email.svg" with { type: "text" };

interface Asset {
  path: string;
  contentType: string;
  text: string;
}

/** One file for the browser; what is for narrow screens comes last. */
const pages = [frame, list, email, home, compose, objects, health, narrow].join("\n");

const svg = "image/svg+xml; charset=utf-8";
const css = "text/css; charset=utf-8";
const js = "text/javascript; charset=utf-8";
const assets: readonly Asset[] = [
  { path: "/assets/style.css", contentType: css, text: style },
  { path: "/assets/console.css", contentType: css, text: pages },
  { path: "/assets/docs.js", contentType: js, text: docsScript },
  { path: "/assets/docs.css", contentType: css, text: docs },
  { path: "/assets/reference.css", contentType: css, text: reference },
  { path: "/assets/reference.js", contentType: js, text: referenceScript },
  { path: "/assets/way-of-an-email.svg", contentType: svg, text: wayOfAnEmail },
  { path: "/assets/console.js", contentType: js, text: script },
  { path: "/assets/live.js", contentType: js, text: liveScript },
  { path: "/assets/board.css", contentType: css, text: board },
  { path: "/assets/board.js", contentType: js, text: boardScript },
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
