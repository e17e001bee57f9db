import { Resolver } from "node:dns/promises";
import type { Config } from "../config.ts";
import { type Finding, ok, warning } from "./finding.ts";

/** The DNS queries that are made; a test brings its own. */
export interface SenderDns {
  resolveMx(name: string): Promise<unknown[]>;
  resolveTxt(name: string): Promise<string[][]>;
}

export function createSenderDns(): SenderDns {
  return new Resolver({ timeout: 2_000, tries: 2 });
}

/** Names that no DNS of the world knows (RFC 2606, RFC 6761). */
const privateName =
  /(^|\.)(localhost|test|example|invalid|local|internal)$|^example\.(com|net|org)$/i;

/** Whether the world has reason to believe the sender's domain. Advice only: it never fails. */
export async function checkSender(
  { sender, transport }: Config,
  dns: SenderDns = createSenderDns(),
): Promise<Finding[]> {
  const domain = sender.from?.slice(sender.from.lastIndexOf("@") + 1) ?? null;
  if (domain === null) {
    const advice = "Set SMTP_FROM, or let every request name its `from`.";
    return [warning("sender", "there is no default sender", advice)];
  }
  if (transport.kind === "capture" || privateName.test(domain)) {
    return [ok("sender", `${domain} skipped (reserved for examples and tests)`)];
  }
  const [mx, spf, dmarc] = await Promise.all([
    look(() => dns.resolveMx(domain)),
    look(() => dns.resolveTxt(domain), "v=spf1"),
    look(() => dns.resolveTxt(`_dmarc.${domain}`), "v=DMARC1"),
  ]);
  if ([mx, spf, dmarc].every((found) => found === "unknown")) {
    const advice = "Without DNS nothing can be said of MX, SPF and DMARC; try it where it works.";
    return [warning("sender", `the DNS does not answer for ${domain}`, advice)];
  }
  return [judge(domain, { mx, spf, dmarc })];
}

type Found = "there" | "missing" | "unknown";

async function look(ask: () => Promise<unknown[]>, start?: string): Promise<Found> {
  try {
    const records = await ask();
    const isThere = records.some(
      (record) =>
        start === undefined ||
        (Array.isArray(record) && record.join("").toLowerCase().startsWith(start.toLowerCase())),
    );
    return isThere ? "there" : "missing";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return /NOTFOUND|NODATA/.test(code) ? "missing" : "unknown";
  }
}

const remedies = {
  mx: "an MX record, so that bounces and answers arrive",
  spf: "an SPF record (TXT that begins with v=spf1) naming the servers that send for it",
  dmarc: "a DMARC record (TXT of _dmarc, v=DMARC1; p=none to begin with)",
};

function judge(domain: string, found: Record<keyof typeof remedies, Found>): Finding {
  const names = Object.keys(remedies) as (keyof typeof remedies)[];
  const saw = names.map((name) => `${name.toUpperCase()} ${found[name]}`).join(", ");
  const missing = names.filter((name) => found[name] === "missing");
  if (missing.length === 0) return ok("sender", `${domain}: ${saw}`);
  const wanted = missing.map((name) => remedies[name]).join("; ");
  const advice = `Publish for ${domain}: ${wanted}. Sign with DKIM at your mail provider, too.`;
  return warning("sender", `${domain}: ${saw}`, advice);
}
