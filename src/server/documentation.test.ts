import { expect, test } from "bun:test";
import { Hono } from "hono";
import { addressOf } from "../admin/docs/docs-page.tsx";
import { mountDocs } from "../admin/docs/docs-routes.tsx";
import { mountLlmsText } from "../admin/docs/llms-text.ts";
import { renderMarkdown } from "../admin/docs/render-markdown.ts";
import { routesOf } from "../http/app.ts";
import type { AppDeps } from "../http/app-deps.ts";
import { problems, problemType } from "../http/problem.ts";
import { documentation } from "./documentation.ts";

const app = new Hono();
// Nothing is called: the table alone is looked at.
const sections = documentation(routesOf({} as AppDeps));
mountLlmsText(app, sections, () => "https://mail.example.com");
mountDocs(app, sections);
const pages = sections.flatMap((section) => section.pages);

test("the type of every problem leads to a page that tells what it means and what to do", async () => {
  for (const code of Object.keys(problems) as (keyof typeof problems)[]) {
    const response = await app.request(problemType(code));
    expect([code, response.status]).toEqual([code, 200]);
    const html = await response.text();
    for (const word of [problems[code].title, code, "What it means", "When it comes", "What to do"])
      expect(html).toContain(word);
  }
  expect((await app.request("/docs/problems/nothing_of_ours")).status).toBe(404);
});

test("every link from one page to another leads to a page", () => {
  const known = new Set(pages.map(({ path }) => addressOf(path)));
  const broken = pages.flatMap(({ path, text }) =>
    [...renderMarkdown(text, path).html.matchAll(/ href="(\/docs[^"#]*)/g)]
      .map(([, href = ""]) => href.replace(/\.md$/, ""))
      .filter((href) => !known.has(href)),
  );
  expect(broken).toEqual([]);
});

test("/llms.txt lists every page of the sidebar as Markdown, and each is there", async () => {
  const response = await app.request("/llms.txt");
  expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  const text = await response.text();
  expect(text).toStartWith("# Taskforce Mailer\n\n> ");
  const listed = [
    ...text.matchAll(/\]\(https:\/\/mail\.example\.com(\/docs[^)]*)\)(?:: (.+\.))?$/gm),
  ];
  const shown = sections.filter(({ title }) => title !== null).flatMap((one) => one.pages);
  expect(listed.map(([, path]) => path)).toEqual(shown.map(({ path }) => `/docs/${path}.md`));
  expect(text).toContain("/docs/api/emails.md): Accept, read, change and cancel emails, ");
  for (const [, path = ""] of listed) {
    const page = await app.request(path);
    expect([path, page.status, page.headers.get("content-type")]).toEqual([
      path,
      200,
      "text/markdown; charset=utf-8",
    ]);
  }
});
