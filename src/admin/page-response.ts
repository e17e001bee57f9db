import type { Context } from "hono";
import type { HtmlEscapedString } from "hono/utils/html";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { quietHtml } from "./quiet-html.ts";

const common = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Cross-Origin-Opener-Policy": "same-origin",
  // Not `no-referrer`: under it browsers send `Origin: null` with our own forms.
  "Referrer-Policy": "same-origin",
};

/** No script, style, frame or image but our own, none of them inline; nobody may frame us. */
const pagePolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/** Of what is never a page by itself. */
const partPolicy = "default-src 'none'; frame-ancestors 'none'; sandbox";

/**
 * A message's HTML is foreign: no script, no form, no request to anywhere, and an origin of its
 * own even when it is opened outside of our frame.
 */
const messagePolicy = (images: string) =>
  "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; " +
  `img-src ${images}; style-src 'unsafe-inline'; frame-ancestors 'self'`;

/** What JSX comes to. */
type Markup = HtmlEscapedString | Promise<HtmlEscapedString>;

export async function sendPage(
  c: Context,
  page: Markup,
  status: ContentfulStatusCode = 200,
  policy = pagePolicy,
): Promise<Response> {
  const headers = { ...common, "Content-Security-Policy": policy };
  const challenge = status === 401 ? { "WWW-Authenticate": "Bearer" } : {};
  return c.body(`<!doctype html>${await page}`, status, { ...headers, ...challenge, ...htmlType });
}

/** A piece of a page, for `console.js`. */
export async function sendFragment(c: Context, fragment: Markup): Promise<Response> {
  const headers = { ...common, "Content-Security-Policy": partPolicy };
  return c.body(await fragment, 200, { ...headers, ...htmlType });
}

/**
 * Links of the message open in a new tab: in the frame they would lead nowhere. `isRemote`: its
 * reader has asked for the images that it names, which tells their servers that it was read.
 */
export function sendMessageHtml(
  c: Context,
  html: string,
  { isRemote }: { isRemote: boolean },
): Response {
  const policy = messagePolicy(isRemote ? "data: https: http:" : "data:");
  const headers = { ...common, "Content-Security-Policy": policy };
  // The same as frame-ancestors, for browsers that only know this one.
  const framed = { "X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "no-referrer" };
  const quiet = { "X-DNS-Prefetch-Control": "off" };
  const body = `<base target="_blank">${quietHtml(html)}`;
  return c.body(body, 200, { ...headers, ...framed, ...quiet, ...htmlType });
}

/** Always saved, never shown: its content is foreign. */
export function sendDownload(
  c: Context,
  content: Uint8Array,
  filename: string,
  contentType = "application/octet-stream",
): Response {
  return c.body(content.slice(), 200, {
    ...common,
    "Content-Type": contentType,
    "Content-Disposition": contentDisposition(filename),
    "Content-Security-Policy": partPolicy,
  });
}

const htmlType = { "Content-Type": "text/html; charset=utf-8" };

/** RFC 6266, the name in UTF-8 as RFC 8187 writes it. */
function contentDisposition(filename: string): string {
  const safe =
    filename
      .replace(/[\p{Cc}/\\]/gu, "_")
      .toWellFormed()
      .slice(0, 200) || "attachment";
  const ascii = safe.replace(/[^\w. -]/g, "_");
  const encoded = encodeURIComponent(safe).replace(
    /['()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16)}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
