/** The headers by which a browser tells where a request was started. */
export interface RequestOrigin {
  secFetchSite: string | undefined;
  origin: string | undefined;
}

/**
 * Whether a request that changes something was started by one of our own pages. Browsers send
 * `Origin` with every such request, and `Sec-Fetch-Site` too over https and to this machine;
 * neither can be set by a page. A request that tells nothing is refused.
 *
 * `ownUrls` are the addresses under which we may be reached. For one that is https, an origin in
 * clear is not ours: whoever listens on the way could have written that page. Otherwise the scheme
 * is not compared, since a proxy that ends TLS need not tell us of it.
 */
export function isSameOrigin(request: RequestOrigin, ownUrls: readonly string[]): boolean {
  const { secFetchSite, origin } = request;
  if (secFetchSite !== undefined && secFetchSite !== "same-origin") return false;
  if (origin === undefined || !URL.canParse(origin)) return false;
  const from = new URL(origin);
  const isHttps = ownUrls.some((url) => url.startsWith("https:"));
  if (isHttps && from.protocol !== "https:") return false;
  return ownUrls.some((url) => new URL(url).host === from.host);
}
