/**
 * The part that all replies with the same meaning share. Mail servers put addresses, their own
 * names, times and ids of the conversation into their words; each becomes a placeholder, so that
 * `<a1@x.test>: user unknown id=77` and `<b2@x.test>: user unknown id=78` are alike.
 *
 * In order: what an earlier rule replaced is out of reach of the later ones. Placeholders match
 * none of the rules, and the rules are applied until nothing changes: a pattern is its own pattern.
 */
const rules: readonly [RegExp, string][] = [
  // URLs hold the ids of support pages, and hosts and digits.
  [/\bhttps?:\/\/[^\s<>"')\]]+/g, "<url>"],
  [/[^\s<>"'()[\]:;,=]+@[^\s<>"'()[\]:;,]+/g, "<address>"],
  [/<(<address>)>/g, "$1"],
  // id=…, key: the name says what it is, the value is of one conversation.
  [/\b([a-z][\w-]*)=(?!<value>)[^\s,;)\]]+/g, "$1=<value>"],
  // RFC 3339, and the spaced form of SQL.
  [/\b\d{4}-\d{2}-\d{2}[t ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(z|[+-]\d{2}:?\d{2})?/g, "<time>"],
  [/\[?(?<![\d.])\d{1,3}(\.\d{1,3}){3}(?![\d.]*\d)\]?(:\d+)?/g, "<ip>"],
  [/\[?(ipv6:)?\b[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,7}(?![0-9a-f:])\]?/g, "<ip>"],
  // A name with a dot and letters behind the last one: mx1.example.com.
  [/(?<![\w.<-])([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z](?![\w>-])/g, "<host>"],
  // 'bob', "bob": no word of the sentence, since those stand without quotes.
  [/(?<![\w<])(['"`])(?!<)[^\s'"`]+\1(?!\w)/g, "<quoted>"],
];

/** Enhanced codes (RFC 3463), and a provider's code in brackets such as [TSS04] or (S3150). */
const kept = /(?<![\w.-])[245]\.\d{1,3}\.\d{1,3}(?![\w.-])|[[(][a-z]{1,6}\d{1,6}[\])]/g;
/** Runs that hold a digit and are as long as ids are: queue ids, hashes, sessions. */
const longId = /(?<![\w<])(?=[\w+/.-]*\d)[\w+/-][\w+/.-]{6,}[\w+/-]/g;

/** What a placeholder put beside a part can make of it: 'a'0 is a quotation once 0 is `<n>`. */
const passesMax = 5;

/** Lower case, one space between words, every part of one conversation a placeholder. */
export function replyPattern(reply: string): string {
  let pattern = reply.toLowerCase();
  for (let pass = 0; pass < passesMax; pass++) {
    const before = pattern;
    for (const [what, placeholder] of rules) pattern = pattern.replace(what, placeholder);
    pattern = withoutNumbers(pattern).replace(/\s+/g, " ").trim();
    if (pattern === before) break;
  }
  return pattern;
}

function withoutNumbers(text: string): string {
  let pattern = "";
  let from = 0;
  for (const { 0: code, index } of text.matchAll(kept)) {
    pattern += replaceNumbers(text.slice(from, index)) + code;
    from = index + code.length;
  }
  return pattern + replaceNumbers(text.slice(from));
}

function replaceNumbers(text: string): string {
  return text.replace(longId, "<id>").replace(/\d+/g, "<n>");
}
