import { createHash } from "node:crypto";
import type { Context, Hono } from "hono";
import { addressOf, DocsArticle, NoSuchDocsPage, type TitledSection } from "./docs-page.tsx";
import type { DocsPage, DocsSection } from "./docs-sections.ts";
import { type RenderedPage, renderMarkdown } from "./render-markdown.ts";

/** Nothing from elsewhere and nothing inline; the scripts copy commands and try operations. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const common = {
  // The same for everybody; asked again each time, so that an update shows at once.
  "Cache-Control": "no-cache",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Content-Security-Policy": policy,
};

/**
 * Every page at `/docs/<path>` and, as it is written, at `/docs/<path>.md`. They say nothing of
 * anybody, so no credential is asked for. Rendered when first asked for, and then kept.
 */
export function mountDocs(app: Hono, sections: readonly DocsSection[]): void {
  const titled = sections.map(withTitles);
  for (const page of sections.flatMap(({ pages }) => pages)) {
    const article = once(async () => {
      const rendered = renderMarkdown(page.text, page.path);
      const markup = <DocsArticle page={page} rendered={rendered} sections={titled} />;
      return withTag(`<!doctype html>${await markup}`);
    });
    const source = once(async () => withTag(page.text));
    app.get(addressOf(page.path), async (c) => send(c, await article(), "text/html"));
    app.get(`/docs/${page.path}.md`, async (c) => send(c, await source(), "text/markdown"));
  }
  app.get("/docs/", (c) => c.redirect("/docs", 301));
  app.get("/docs/index", (c) => c.redirect("/docs", 301));
  const missing = once(async () =>
    withTag(`<!doctype html>${await (<NoSuchDocsPage sections={titled} />)}`),
  );
  app.get("/docs/*", async (c) => {
    const headers = { ...common, "Content-Type": "text/html; charset=utf-8" };
    return c.body((await missing()).text, 404, headers);
  });
}

interface Tagged {
  text: string;
  etag: string;
}

function withTag(text: string): Tagged {
  const etag = `"${createHash("sha256").update(text).digest("base64url").slice(0, 22)}"`;
  return { text, etag };
}

function send(c: Context, { text, etag }: Tagged, contentType: string): Response {
  const headers = { ...common, "Content-Type": `${contentType}; charset=utf-8`, ETag: etag };
  const isKnown = c.req.header("If-None-Match") === etag;
  return isKnown ? c.body(null, 304, headers) : c.body(text, 200, headers);
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function withTitles(section: DocsSection): TitledSection {
  const pages = section.pages.map((page) => ({ ...page, title: titleOf(page) }));
  return { ...section, pages };
}

/** The first line, without a look at the rest: the sidebar of every page needs all of them. */
export function titleOf({ path, text }: DocsPage): RenderedPage["title"] {
  const title = /^# (.+)$/m.exec(text)?.[1];
  if (title === undefined) throw new Error(`public/docs/${path}.md does not begin with # Title`);
  return title.replace(/`/g, "");
}
