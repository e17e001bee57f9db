import { describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { Hono } from "hono";
import { mountAssets } from "../assets.ts";
import { addressOf } from "./docs-page.tsx";
import { mountDocs, titleOf } from "./docs-routes.tsx";
import { docsSections } from "./docs-sections.ts";
import { renderMarkdown } from "./render-markdown.ts";

const folder = `${import.meta.dirname}/../../../public/docs`;
const pages = docsSections.flatMap((section) => section.pages);
const app = new Hono();
mountAssets(app);
mountDocs(app, docsSections);

const get = async (path: string, headers: Record<string, string> = {}) =>
  await app.request(path, { headers });

describe("200", () => {
  test("every file of public/docs is a page, and no page is without its file", async () => {
    const files = [...new Glob("**/*.md").scanSync(folder)].map((file) => file.slice(0, -3));
    const paths = pages.map(({ path }) => path);
    expect(files.filter((file) => !paths.includes(file))).toEqual([]);
    expect(new Set(paths).size).toBe(paths.length);
  });

  test("each page is served under its title, and as it is written with .md", async () => {
    for (const page of pages) {
      const shown = await get(addressOf(page.path));
      expect([page.path, shown.status]).toEqual([page.path, 200]);
      expect(await shown.text()).toContain(`<title>${titleOf(page)} · Taskforce Mailer</title>`);
      const source = await get(`/docs/${page.path}.md`);
      expect(source.headers.get("content-type")).toBe("text/markdown; charset=utf-8");
      expect(await source.text()).toBe(page.text);
    }
  });

  test("nothing on a page comes from elsewhere or stands in it as script or style", async () => {
    for (const { path } of pages) {
      const response = await get(addressOf(path));
      const policy = response.headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
      expect(policy).not.toContain("unsafe");
      const html = await response.text();
      expect(html).not.toMatch(/\s(?:style|on\w+)="|<style|<script(?! src="\/assets\/)/);
      for (const [, source = ""] of html.matchAll(/ (?:src|srcset)="([^"]*)"/g)) {
        expect([source, (await get(source)).status]).toEqual([source, 200]);
      }
    }
  });

  test("links between pages lead to a page, and to a heading on it", async () => {
    const known = new Map(
      pages.map(({ path, text }) => {
        const ids = renderMarkdown(text, path).html.matchAll(/<h\d id="([^"]*)"/g);
        return [addressOf(path), new Set(Array.from(ids, ([, id = ""]) => id))];
      }),
    );
    const broken = pages.flatMap(({ path, text }) => {
      const hrefs = renderMarkdown(text, path).html.matchAll(/ href="((?:\/docs|#)[^"]*)"/g);
      return Array.from(hrefs, ([, href = ""]) => href).filter((href) => {
        // Pages that are made from the code, which server/documentation.test.ts looks at.
        if (/^\/docs\/(?:api|problems)\b/.test(href)) return false;
        const [address = "", id] = href.split("#");
        const ids = known.get((address || addressOf(path)).replace(/\.md$/, ""));
        return ids === undefined || (id !== undefined && !ids.has(id));
      });
    });
    expect(broken).toEqual([]);
  });

  test("the sidebar leads to every page that is listed, and marks the one that is shown", async () => {
    const html = await (await get("/docs/concepts")).text();
    for (const { title, pages: listed } of docsSections) {
      if (title === null) continue;
      for (const { path } of listed) expect(html).toContain(`<a href="${addressOf(path)}"`);
    }
    expect(html).toContain('<a href="/docs/concepts" aria-current="page">');
  });
});

test("a page that has not changed is not sent again", async () => {
  const etag = (await get("/docs/concepts")).headers.get("etag") ?? "";
  const again = await get("/docs/concepts", { "If-None-Match": etag });
  expect([again.status, await again.text()]).toEqual([304, ""]);
});

test("there is one address for the first page", async () => {
  for (const path of ["/docs/", "/docs/index"]) {
    const response = await get(path);
    expect([response.status, response.headers.get("location")]).toEqual([301, "/docs"]);
  }
});

test("404 is a page, with the list of all others", async () => {
  const response = await get("/docs/nothing");
  expect(response.status).toBe(404);
  expect(response.headers.get("content-type")).toContain("text/html");
  expect(await response.text()).toContain('<a href="/docs/concepts"');
});

test("a page without a title is refused when it is mounted", () => {
  expect(() => titleOf({ path: "x", text: "no title" })).toThrow("public/docs/x.md");
});
