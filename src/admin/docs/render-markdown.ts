import { Marked, type Tokens } from "marked";

/** A page's Markdown as HTML. */
export interface RenderedPage {
  /** Text of the first heading of level 1. */
  readonly title: string;
  readonly html: string;
  /** Headings of level 2, for the list of what is on the page. */
  readonly headings: readonly { readonly id: string; readonly text: string }[];
}

/**
 * Renders GitHub's Markdown with ids on headings as GitHub makes them. Links between pages
 * (`concepts.md#states`) become paths of this server; `path` is the page's own, below `/docs/`.
 * HTML in the source is not passed on: a comment vanishes, anything else is shown as text.
 */
export function renderMarkdown(text: string, path: string): RenderedPage {
  const headings: { id: string; text: string }[] = [];
  const ids = new Set<string>();
  let title = "";
  let blocks = 0;
  const marked = new Marked({ gfm: true });
  marked.use({
    renderer: {
      heading({ tokens, depth }) {
        const words = this.parser.parseInline(tokens, this.parser.textRenderer);
        const id = uniqueId(words, ids);
        if (depth === 1) title ||= words;
        if (depth === 2) headings.push({ id, text: words });
        const anchor = `<a class="anchor" href="#${id}" aria-label="Link to this section">#</a>`;
        return `<h${depth} id="${id}">${this.parser.parseInline(tokens)} ${anchor}</h${depth}>\n`;
      },
      code({ text: source, lang }) {
        blocks += 1;
        return codeBlock(source, lang ?? "", `code-${blocks}`);
      },
      table(token) {
        return tableOf(token, (cell) => this.parser.parseInline(cell.tokens));
      },
      link({ href, tokens }) {
        const target = escaped(hrefOf(href, path));
        return `<a href="${target}">${this.parser.parseInline(tokens)}</a>`;
      },
      image({ href, text: alt }) {
        return `<img src="/assets/${escaped(href.replace(/^.*\//, ""))}" alt="${escaped(alt)}">`;
      },
      html({ text: html }) {
        return /^\s*<!--/.test(html) ? "" : escaped(html);
      },
    },
  });
  const html = marked.parse(text, { async: false });
  return { title, html, headings };
}

function codeBlock(source: string, language: string, id: string): string {
  const label = language === "" ? "" : `<span>${escaped(language)}</span>`;
  return (
    `<div class="code"><div class="code-bar">${label}` +
    `<button type="button" data-copy="${id}">Copy</button></div>` +
    `<pre tabindex="0"><code id="${id}">${escaped(source)}\n</code></pre></div>\n`
  );
}

/** Wide tables scroll by themselves, not the page; an empty head row is left out. */
function tableOf(token: Tokens.Table, cellOf: (cell: Tokens.TableCell) => string): string {
  const row = (cells: Tokens.TableCell[], tag: "td" | "th") =>
    `<tr>${cells.map((cell) => `<${tag}>${cellOf(cell)}</${tag}>`).join("")}</tr>`;
  const isHeaded = token.header.some(({ text }) => text !== "");
  const head = isHeaded ? `<thead>${row(token.header, "th")}</thead>` : "";
  const body = token.rows.map((cells) => row(cells, "td")).join("\n");
  return `<div class="table" tabindex="0"><table>${head}<tbody>${body}</tbody></table></div>\n`;
}

/** `concepts.md#states` → `/docs/concepts#states`; what is no page of ours stays as it is. */
function hrefOf(href: string, path: string): string {
  if (/^(?:[a-z]+:|\/|#)/i.test(href)) return href;
  const { pathname, hash } = new URL(href, `http://docs/docs/${path}`);
  const page = pathname.replace(/\.md$/, "").replace(/\/index$/, "");
  return `${page}${hash}`;
}

/** As GitHub does: lower case, no punctuation, dashes for spaces, a number for the second one. */
function uniqueId(words: string, taken: Set<string>): string {
  const slug = unescaped(words)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");
  let id = slug;
  for (let n = 1; taken.has(id); n++) id = `${slug}-${n}`;
  taken.add(id);
  return id;
}

function escaped(text: string): string {
  return text
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(/"/g, "&quot;");
}

function unescaped(text: string): string {
  return text
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, "&");
}
