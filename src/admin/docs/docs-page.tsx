import { raw } from "hono/html";
import type { Child } from "hono/jsx";
import type { DocsPage, DocsSection } from "./docs-sections.ts";
import type { RenderedPage } from "./render-markdown.ts";

/** A page with its title, as the sidebar lists it. */
export type TitledPage = DocsPage & { readonly title: string };
export type TitledSection = Omit<DocsSection, "pages"> & { readonly pages: readonly TitledPage[] };

interface DocsFrameProps {
  title: string;
  /** Of the page that is shown; null: it is none of the documentation's. */
  path: string | null;
  sections: readonly TitledSection[];
  headings?: RenderedPage["headings"];
  /** The reference: two columns, and a script of its own. */
  isReference?: boolean;
  children?: Child;
}

/** Where a page is found: `index` is `/docs` itself. */
export function addressOf(path: string): string {
  return path === "index" ? "/docs" : `/docs/${path}`;
}

/** The frame of every page of the documentation; the same for everybody who reads it. */
export function DocsFrame(props: DocsFrameProps) {
  const { title, path, sections, headings = [], isReference = false, children } = props;
  const links = <Sections sections={sections} path={path} headings={headings} />;
  return (
    <html lang="en" class="docs-page">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{`${title} · Taskforce Mailer`}</title>
        <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/assets/style.css" />
        <link rel="stylesheet" href="/assets/docs.css" />
        {path !== null && <link rel="alternate" type="text/markdown" href={`/docs/${path}.md`} />}
        <script src="/assets/docs.js" defer />
        {isReference && <link rel="stylesheet" href="/assets/reference.css" />}
        {isReference && <script src="/assets/reference.js" defer />}
      </head>
      <body>
        <header class="docs-bar">
          <a class="docs-brand" href="/docs">
            <img src="/favicon.svg" alt="" width="28" height="28" />
            <span>Taskforce Mailer</span>
            <span class="docs-name">Documentation</span>
          </a>
          <a href="/">Console</a>
        </header>
        <div class={isReference ? "docs is-wide" : "docs"}>
          <nav class="docs-side" aria-label="Pages">
            {links}
          </nav>
          <details class="docs-menu">
            <summary>Pages</summary>
            <nav aria-label="Pages">{links}</nav>
          </details>
          <main>{children}</main>
        </div>
      </body>
    </html>
  );
}

interface SectionsProps {
  sections: readonly TitledSection[];
  path: string | null;
  headings: RenderedPage["headings"];
}

function Sections({ sections, path, headings }: SectionsProps) {
  return sections
    .filter(({ title }) => title !== null)
    .map((section) => (
      <section>
        <h2>{section.title}</h2>
        <ul>
          {section.pages.map((page) => (
            <li>
              <a href={addressOf(page.path)} aria-current={page.path === path ? "page" : undefined}>
                {page.title}
              </a>
              {page.path === path && headings.length > 1 && (
                <ul>
                  {headings.map(({ id, text }) => (
                    <li>
                      <a href={`#${id}`}>{raw(text)}</a>
                    </li>
                  ))}
                </ul>
              )}
            </li>
          ))}
        </ul>
      </section>
    ));
}

interface DocsArticleProps {
  page: DocsPage;
  rendered: RenderedPage;
  sections: readonly TitledSection[];
}

/** One page, with the ones before and behind it. */
export function DocsArticle({ page, rendered, sections }: DocsArticleProps) {
  const listed = sections.filter(({ title }) => title !== null).flatMap(({ pages }) => pages);
  const at = listed.findIndex(({ path }) => path === page.path);
  const before = at < 1 ? undefined : listed[at - 1];
  const next = at < 0 ? undefined : listed[at + 1];
  return (
    <DocsFrame
      title={rendered.title}
      path={page.path}
      sections={sections}
      headings={page.shown?.headings ?? rendered.headings}
      isReference={page.shown !== undefined}
    >
      {page.shown?.article() ?? <article class="docs-text">{raw(rendered.html)}</article>}
      <footer class="docs-foot">
        {before && (
          <a href={addressOf(before.path)} rel="prev">
            ← {before.title}
          </a>
        )}
        <a class="docs-source" href={`/docs/${page.path}.md`}>
          This page as Markdown
        </a>
        {next && (
          <a href={addressOf(next.path)} rel="next">
            {next.title} →
          </a>
        )}
      </footer>
    </DocsFrame>
  );
}

export function NoSuchDocsPage({ sections }: { sections: readonly TitledSection[] }) {
  return (
    <DocsFrame title="Not found" path={null} sections={sections}>
      <article class="docs-text">
        <h1>There is no such page</h1>
        <p>
          The documentation has no page at this address. All pages are in the list, and on the{" "}
          <a href="/docs">first one</a>.
        </p>
      </article>
    </DocsFrame>
  );
}
