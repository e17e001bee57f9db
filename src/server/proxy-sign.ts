import type { Config } from "../config.ts";
import { type Finding, warning } from "../doctor/finding.ts";
import type { Logger } from "../log.ts";

const saw = "requests come with X-Forwarded-For, and TRUST_PROXY is not set";
const advice =
  "Behind a proxy set TRUST_PROXY (how many, their networks, or fly): without it all callers have " +
  "one address, and share its limits. Without a proxy somebody made the header up: do nothing.";

/** Notices that this server seems to stand behind a proxy that it was not told of. */
export interface ProxySign {
  /** Says so in the log, once. */
  look(request: Request): void;
  /** For the doctor; empty: there was no such request yet. */
  findings(): Finding[];
}

export function createProxySign({ trustProxy }: Config["http"], log: Logger): ProxySign {
  let isSeen = false;
  return {
    look({ headers }) {
      if (isSeen || trustProxy.kind !== "none" || !headers.has("x-forwarded-for")) return;
      isSeen = true;
      log.warn("configuration", { reason: `${saw}. ${advice}` });
    },
    findings: () => (isSeen ? [warning("proxy", saw, advice)] : []),
  };
}
