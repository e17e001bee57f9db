import { expect, test } from "bun:test";
import { quietHtml } from "./quiet-html.ts";

test.each([
  '<p>a</p><link rel="preconnect" href="//x">b',
  "<LINK\n/rel=preconnect href=//x>b",
  "<link/rel=preconnect href=//x>",
  "<svg><link rel=preconnect href=//x></svg>",
  "<noscript><link rel=preconnect href=//x></noscript>",
  "<!-- a --!><iFrame\tsrc=//x></iframe>",
  "<frameset><frame src=//x></frameset>",
  "<iframe",
])("no tag that connects is left of %j", (html) => {
  expect(quietHtml(html)).not.toMatch(/<(link|i?frame)\b(?!s)/i);
  expect(quietHtml(html)).toMatch(/<(bgsound|x-frame)/);
});

test.each([
  "<b>bold</b> text, 日本語 &amp; more",
  '<meta charset=utf-8><style>p { color: red }</style><p style="x">a</p>',
  "a link, <linked> and </link>",
  "<p unclosed",
  "",
])("nothing else is touched: %j", (html) => {
  expect(quietHtml(html)).toBe(html);
});
