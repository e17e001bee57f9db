import type { Config, SmtpSettings } from "../config.ts";
import { adviceFor } from "../mail/advice.ts";
import { type SmtpTrial, trySmtpLogin } from "../mail/try-smtp-login.ts";
import { type Finding, failed, ok, warning } from "./finding.ts";

/** Connects and logs in as a send would; nothing is sent. */
export async function checkSmtp({ transport, dataDir }: Config): Promise<Finding[]> {
  if (transport.kind === "capture") {
    const saw = `nothing is sent: messages are written to ${dataDir}/captured`;
    return [ok("smtp", saw)];
  }
  return [judge(transport, await trySmtpLogin(transport))];
}

function judge(settings: SmtpSettings, trial: SmtpTrial): Finding {
  const name = `${settings.host}:${settings.port}`;
  if (!trial.isOpen) return failed("smtp", `${name}: ${wordsOf(trial)}`, adviceFor(trial));
  if (settings.user !== null && !trial.isLoggedIn) {
    return warning(
      "smtp",
      `${name} offers no login, though SMTP_USER is set`,
      "Use the provider's submission port (587, or 465 with SMTP_SECURE=true).",
    );
  }
  const login = trial.isLoggedIn ? "accepts our login" : "accepts us without a login";
  return ok("smtp", `${name} ${login}${tlsWords(settings)}`);
}

function wordsOf({ phase, reply, error }: SmtpTrial): string {
  if (reply === null) return error ?? "no answer";
  const code = reply.enhanced === null ? reply.code : `${reply.code} ${reply.enhanced}`;
  return `it said ${code} ${reply.text} (at ${phase})`;
}

function tlsWords({ isSecure, tls }: SmtpSettings): string {
  if (isSecure || tls === "required") return ", over TLS";
  return tls === "off" ? ", over an unencrypted connection" : "";
}
