import { describe, expect, test } from "bun:test";
import { renderMarkdown } from "./render-markdown.ts";

const html = (text: string, path = "page") => renderMarkdown(text, path).html;

describe("renderMarkdown", () => {
  test("takes the title and the list of what is on the page from the headings", () => {
    const page = renderMarkdown("# A & `b`\n\n## One <2>\n\n### Deep\n\n## One <2>", "page");
    expect(page.title).toBe("A & b");
    expect(page.headings).toEqual([
      { id: "one-2", text: "One <2>" },
      { id: "one-2-1", text: "One <2>" },
    ]);
    expect(page.html).toContain('<h2 id="one-2-1">One &lt;2&gt;');
  });

  test("leads links between pages to this server's paths, and leaves others alone", () => {
    expect(html("[x](concepts.md#states)")).toContain('href="/docs/concepts#states"');
    expect(html("[x](index.md)")).toContain('href="/docs"');
    expect(html("[x](../webhooks.md)", "problems/not_found")).toContain('href="/docs/webhooks"');
    for (const href of ["https://example.com/a.md", "/openapi.json", "#here"]) {
      expect(html(`[x](${href})`)).toContain(`href="${href}"`);
    }
  });

  test("passes no HTML on, from wherever it comes", () => {
    const made = html('<script>alert(1)</script>\n\na <img src=x onerror="y"> b\n\n<!-- c -->');
    expect(made).not.toMatch(/<script|<img|<!--/);
    expect(made).toContain("&lt;script&gt;");
    expect(html("```\n<b>\n```")).toContain("&lt;b&gt;");
    expect(html("`<b>` & <b>")).not.toContain("<b>");
    expect(html('![a"b](../x.svg)')).toContain('<img src="/assets/x.svg" alt="a&quot;b">');
  });

  test("gives every block of code a button that copies it", () => {
    const made = html("```sh\none\n```\n\n```\ntwo\n```");
    expect(made).toContain('<button type="button" data-copy="code-1">');
    expect(made).toContain('<code id="code-1">one\n</code>');
    expect(made).toContain('<code id="code-2">two\n</code>');
  });

  test("leaves an empty head row of a table out, and lets wide ones scroll by themselves", () => {
    expect(html("| | |\n|---|---|\n| a | b |")).not.toContain("<thead>");
    expect(html("| x |\n|---|\n| a |")).toContain("<th>x</th>");
    expect(html("| x |\n|---|\n| a |")).toContain('<div class="table" tabindex="0">');
  });
});
