/** The headers by which a browser tells where a request was started. */
export interface RequestOrigin {
  secFetchSite: string | undefined;
  origin: string | undefined;
  requestedWith: string | undefined;
}

/**
 * Whether a POST was started by one of our own pages. Another site's form sends its own
 * `Origin` and `Sec-Fetch-Site`, and no custom header; a request that tells nothing is refused.
 */
export function isSameOrigin(request: RequestOrigin, ownUrls: readonly string[]): boolean {
  if (request.requestedWith !== undefined) return true;
  if (request.secFetchSite !== undefined) return request.secFetchSite === "same-origin";
  const { origin } = request;
  if (origin === undefined || !URL.canParse(origin)) return false;
  return ownUrls.some((url) => new URL(url).host === new URL(origin).host);
}
