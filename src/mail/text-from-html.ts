import { type HtmlToTextOptions, htmlToText } from "html-to-text";

/** Converting takes up to 4 ms per kB of the worst HTML: a request must not keep all others waiting. */
export const htmlForTextLengthMax = 256 * 1024;

const line = { leadingLineBreaks: 1, trailingLineBreaks: 1 };
const heading = { uppercase: false };
const options: HtmlToTextOptions = {
  // Quoted-printable folds the lines, and mail programs wrap them to their windows.
  wordwrap: false,
  limits: { maxInputLength: htmlForTextLengthMax, maxDepth: 200 },
  selectors: [
    { selector: "a", options: { hideLinkHrefIfSameAsText: true } },
    ...["img", "head", "title"].map((selector) => ({ selector, format: "skip" })),
    ...["h1", "h2", "h3", "h4", "h5", "h6"].map((selector) => ({ selector, options: heading })),
    // Most tables of emails are there for their layout: a row is a line, a cell a word.
    { selector: "tr", format: "block", options: line },
    ...["td", "th"].map((selector) => ({
      selector,
      format: "inlineSurround",
      options: { suffix: " " },
    })),
  ],
};

/** What people read who see no HTML; empty when there is nothing to read in it. */
export function textFromHtml(html: string): string {
  const text = htmlToText(html, options);
  // No line ends in spaces: format=flowed would take it for one that goes on.
  return text.replace(/[ \t]+$/gm, "").trim();
}
