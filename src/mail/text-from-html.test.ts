import { expect, test } from "bun:test";
import { htmlForTextLengthMax, textFromHtml } from "./text-from-html.ts";

test.each([
  ["<h1>Hello</h1><p>Dear Ada,<br>it is <b>done</b>.</p>", "Hello\n\nDear Ada,\nit is done."],
  ["<ul><li>one</li><li>two</li></ul>", "* one\n * two"],
  ['<a href="https://a.example/x?b=1&amp;c=2">Look</a>', "Look [https://a.example/x?b=1&c=2]"],
  ['<a href="https://a.example/">https://a.example/</a>', "https://a.example/"],
  [
    "<table><tr><td>Sum</td><td>42.00</td></tr><tr><td>Tax</td><td>8</td></tr></table>",
    "Sum 42.00\nTax 8",
  ],
  [
    "<title>T</title><style>p{}</style><script>x()</script><p>seen ü &amp; more</p>",
    "seen ü & more",
  ],
  ['<img src="https://t.example/p.gif" alt="">', ""],
  ["", ""],
])("%s", (html, text) => {
  expect(textFromHtml(html)).toBe(text);
});

test.each([
  ["deep", "<div>"],
  ["tables", "<table><tr><td>"],
  ["half a tag", "<a href='"],
])("the worst that is taken (%s) ends within seconds", (_, piece) => {
  const startedAt = performance.now();
  textFromHtml(piece.repeat(Math.floor(htmlForTextLengthMax / piece.length)));
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});
