/**
 * A message's HTML without the elements for which browsers open a connection before they ask the
 * policy that forbids every request: a frame, for one (tried: Chromium connects to its host, from
 * within a sandbox too), and links with `rel="preconnect"`, which no policy governs.
 *
 * By the letter and not by a parser: a tag begins with `<` and its name, wherever it stands, and
 * neither can be written in another way; while what a parser takes for text (`<noscript>`, where
 * scripts are off) a browser may take for elements. Scripts, forms and requests are the policy's
 * to stop, not ours.
 */
export function quietHtml(html: string): string {
  return html.replace(/<(link|i?frame)(?=[\s/>]|$)/gi, (_, name: string) =>
    // An element that nobody knows; in place of a link one that is as empty and may stand in <head>.
    name.toLowerCase() === "link" ? "<bgsound" : "<x-frame",
  );
}

/** Whether it names something that a browser would fetch from elsewhere to show it. */
export function isHtmlRemote(html: string): boolean {
  return /(?:\b(?:src|srcset|background|poster)\s*=\s*["']?\s*|url\(\s*["']?)(?:https?:)?\/\//i.test(
    html,
  );
}
