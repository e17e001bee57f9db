import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { SmtpSettings } from "./config.ts";
import { bareAddress } from "./config-parsers.ts";
import type { VariableName, VariableValues } from "./config-variables.ts";
import { isLoopback } from "./runtime/loopback.ts";

/** Where faults are told. */
interface Faults {
  add(name: VariableName, expected: string): void;
}

export function smtpOf(values: VariableValues, host: string, faults: Faults): SmtpSettings {
  const isSecure = values.SMTP_SECURE ?? false;
  if ((values.SMTP_USER === null) !== (values.SMTP_PASS === null)) {
    const [missing, present] =
      values.SMTP_USER === null ? ["SMTP_USER", "SMTP_PASS"] : ["SMTP_PASS", "SMTP_USER"];
    faults.add(missing as VariableName, `a value, because ${present} is set`);
  }
  if (isSecure && values.SMTP_TLS === "off") {
    faults.add("SMTP_TLS", "required or opportunistic, because SMTP_SECURE is true");
  }
  const isRemote = !isLoopback(host);
  if (isRemote && values.SMTP_USER !== null && isUnverified(values.SMTP_TLS)) {
    faults.add(
      "SMTP_TLS",
      "required (or nothing), because SMTP_USER is set: a password goes over verified TLS only, " +
        "but to this machine; SMTP_TLS_CA names an authority of your own",
    );
  }
  const needsTls = isRemote && (values.SMTP_USER !== null || isSecure);
  return {
    kind: "smtp",
    host,
    port: values.SMTP_PORT ?? (isSecure ? 465 : 587),
    isSecure,
    tls: values.SMTP_TLS ?? (needsTls ? "required" : "opportunistic"),
    tlsCa: readPem("SMTP_TLS_CA", values, faults),
    user: values.SMTP_USER,
    pass: values.SMTP_PASS,
    replyTimeoutMs: values.SMTP_REPLY_TIMEOUT_MS ?? 600_000,
    poolSize: values.SMTP_POOL_SIZE ?? 20,
    messagesPerConnection: values.SMTP_MESSAGES_PER_CONNECTION ?? 100,
    ehloName: ehloNameOf(values, hostname()),
    auth: values.SMTP_AUTH,
    ratePerSecond: values.SMTP_RATE_PER_SECOND,
  };
}

function isUnverified(tls: VariableValues["SMTP_TLS"]): boolean {
  return tls === "opportunistic" || tls === "off";
}

/** The PEM text of the file that a setting names; null: unset, or at fault. */
export function readPem(
  name: "SMTP_TLS_CA" | "REDIS_TLS_CA",
  values: Pick<VariableValues, "SMTP_TLS_CA" | "REDIS_TLS_CA">,
  faults: Faults,
): string | null {
  const path = values[name];
  if (path === null) return null;
  try {
    const pem = readFileSync(path, "utf8");
    if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem;
    faults.add(name, "a PEM file with at least one certificate");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
    faults.add(name, `a PEM file that can be read (${code})`);
  }
  return null;
}

const namePattern =
  /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.[a-z][a-z0-9-]*$/i;

/**
 * A container's host name has no dot, and what is said for it then, `[127.0.0.1]`, is refused by
 * Google's relay and by servers that want a fully qualified name. Null: no name is known.
 */
export function ehloNameOf(
  values: Pick<VariableValues, "SMTP_EHLO_NAME" | "PUBLIC_URL" | "SMTP_FROM" | "SMTP_USER">,
  hostName: string,
): string | null {
  if (values.SMTP_EHLO_NAME !== null) return values.SMTP_EHLO_NAME;
  const publicHost = values.PUBLIC_URL === null ? "" : new URL(values.PUBLIC_URL).hostname;
  const from = values.SMTP_FROM?.address ?? bareAddress(values.SMTP_USER ?? "") ?? "";
  const names = [hostName, publicHost, from.slice(from.lastIndexOf("@") + 1)];
  return names.find((name) => namePattern.test(name)) ?? null;
}
