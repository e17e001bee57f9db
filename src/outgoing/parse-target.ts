import { isIP } from "node:net";
import { OutgoingError } from "./outgoing-error.ts";

/** A URL taken apart, ready to be connected to. */
export interface Target {
  isHttps: boolean;
  /** A name, or an IP address without brackets; in lower case, in ASCII. */
  host: string;
  isLiteral: boolean;
  port: number;
  /** With its query. */
  path: string;
}

/**
 * Names that mean something inside a network only: RFC 6761, 6762, 8375, ICANN's `.internal`, and
 * Fly's `.flycast`. What they resolve to is judged all the same; this says so without asking.
 */
const insideNames = /(^|\.)(localhost|localdomain|local|internal|intranet|home\.arpa|flycast)$/;

/** A port below it belongs to some protocol, and a request could be mistaken for that. */
const openPortMin = 1024;
const urlCharactersMax = 2048;

/**
 * Reads a URL the way the WHATWG says, so that `http://0x7f.1`, `2130706433` and full-width digits
 * become the address they stand for before anybody judges it. Throws `url_refused`.
 */
export function parseTarget(text: string, allowPrivate: boolean): Target {
  if (text.length > urlCharactersMax || !URL.canParse(text)) {
    throw refused(`a URL of at most ${urlCharactersMax} characters`);
  }
  const url = new URL(text);
  const isHttps = url.protocol === "https:";
  if (!isHttps && url.protocol !== "http:") throw refused("a URL that starts with https://");
  // To the internet never in clear: whoever listens on the way could change the answer.
  if (!isHttps && !allowPrivate) throw refused("a URL that starts with https://");
  if (url.username !== "" || url.password !== "") throw refused("a URL without user name");
  const port = url.port === "" ? (isHttps ? 443 : 80) : Number(url.port);
  if (port !== 80 && port !== 443 && port < openPortMin) {
    throw refused(`the port 443 or one from ${openPortMin} up`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  const isLiteral = isIP(host) !== 0;
  if (!isLiteral) assertName(host, allowPrivate);
  return { isHttps, host, isLiteral, port, path: `${url.pathname}${url.search}` };
}

function assertName(host: string, allowPrivate: boolean): void {
  if (!/^[\w-]+(\.[\w-]+)*$/.test(host) || host.length > 253) throw refused("a host name");
  if (allowPrivate) return;
  // A name without a dot is completed with the machine's own search domains.
  if (!host.includes(".") || insideNames.test(host)) {
    throw refused("a host on the internet, not one inside a network");
  }
}

function refused(expected: string): OutgoingError {
  return new OutgoingError("url_refused", `The URL is not one we follow: expected ${expected}.`);
}
