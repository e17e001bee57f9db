import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { readResendPage } from "./read-emails.ts";

/** GET /domains: what `SMTP_FROM_ALLOWED` permits, each by its domain. */
export function createResendDomains({ config }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { limit, after, before } = readResendPage(c);
    const all = domainsOf(config).map((name) => domainJson(name, config.region));
    const start = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
    const end = before === undefined ? all.length : all.findIndex(({ id }) => id === before);
    const found = all.slice(start, Math.max(start, end));
    const data = found.slice(0, limit);
    return c.json({ object: "list", has_more: found.length > data.length, data });
  };
}

function domainsOf({ sender }: AppDeps["config"]): string[] {
  const { allowed, from } = sender;
  const permitted = allowed ?? (from === null ? [] : [from]);
  const domains = permitted.map((one) => one.slice(one.lastIndexOf("@") + 1).toLowerCase());
  return [...new Set(domains)].sort();
}

function domainJson(name: string, region: string) {
  const hex = new Bun.CryptoHasher("sha256").update(`domain ${name}`).digest("hex");
  const id = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`];
  return {
    id: [...id, hex.slice(20, 32)].join("-"),
    name,
    status: "verified",
    // The configuration does not say since when it permits a domain.
    created_at: new Date(0),
    region,
    capabilities: { sending: "enabled", receiving: "disabled" },
  };
}
