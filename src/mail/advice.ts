import type { SmtpPhase, SmtpReply } from "../email/smtp.ts";
import { isPermanent } from "./permanent.ts";
import { refusesMechanism } from "./transport-fault.ts";

/** What `adviceFor` needs to know; a `SendReport` is one. */
export interface AdviceFacts {
  /** Where the conversation ended; null when it is no longer known. */
  phase: SmtpPhase | null;
  reply: SmtpReply | null;
  error: string | null;
  /** Nothing tries it again, as with a test email. Default: it may be. */
  isFinal?: boolean;
}

interface Advice {
  applies: (facts: AdviceFacts) => boolean;
  words: string;
}

const error = (pattern: RegExp) => (facts: AdviceFacts) =>
  facts.reply === null && pattern.test(facts.error ?? "");
const reply = (codes: number[], enhanced?: RegExp, text?: RegExp) => (facts: AdviceFacts) =>
  facts.reply !== null &&
  codes.includes(facts.reply.code) &&
  (enhanced === undefined || enhanced.test(facts.reply.enhanced ?? "")) &&
  (text === undefined || text.test(facts.reply.text));

const ehloWords =
  "The server refuses the name this host greets it with. Set SMTP_EHLO_NAME to the host's full name in the DNS, such as mailer.example.com.";

/** The first that applies is given; the narrow ones stand before the wide ones. */
const advices: Advice[] = [
  {
    applies: error(/host not found/),
    words: "The SMTP host cannot be found. Check SMTP_HOST for a typing error, and the DNS.",
  },
  {
    applies: error(/connection refused/),
    words:
      "Nothing listens at that host and port. Check SMTP_HOST and SMTP_PORT (587 with STARTTLS, 465 with SMTP_SECURE=true, 25 for a relay).",
  },
  {
    applies: error(/no route/),
    words: "The host cannot be reached from here. Check the network and the firewall.",
  },
  {
    applies: error(/the password was not sent/),
    words:
      "A password goes over verified TLS only. Set SMTP_TLS=required, and SMTP_TLS_CA where the server has an authority of its own.",
  },
  {
    applies: error(/self-signed|issuer is not trusted/),
    words:
      "The server's certificate is not trusted. Put the PEM of its authority into SMTP_TLS_CA, or, for a relay without a login in a network of yours, set SMTP_TLS=opportunistic.",
  },
  {
    applies: error(/another host name/),
    words: "The certificate is for another host. Set SMTP_HOST to the name in the certificate.",
  },
  {
    applies: error(/has expired/),
    words: "The server's certificate has expired. Its operator has to renew it.",
  },
  {
    applies: error(/^TLS/),
    words:
      "TLS failed. SMTP_SECURE=true belongs to ports that speak TLS from the start (465), false to those with STARTTLS (587).",
  },
  {
    applies: (facts) => error(/timed out/)(facts) && isEarly(facts.phase),
    words:
      "The server does not answer. A firewall may drop the connection (many providers block port 25), or SMTP_SECURE does not fit the port.",
  },
  {
    applies: (facts) => facts.reply === null && (facts.phase === "body" || facts.phase === "reply"),
    words:
      "The connection ended after the message had been sent and before it was confirmed. Look into the recipient's mailbox before you send it again.",
  },
  {
    applies: (facts) => facts.reply === null && facts.error !== null,
    words: "The connection broke before the message was sent. It is safe to try again.",
  },
  {
    applies: (facts) => facts.phase === "ehlo" && (facts.reply?.code ?? 0) >= 400,
    words: ehloWords,
  },
  {
    applies: (facts) => hasWords(facts, /\b(helo|ehlo)\b/i),
    words: ehloWords,
  },
  {
    applies: ({ phase, reply: said }) =>
      phase === "auth" && said !== null && refusesMechanism(said),
    words:
      "The server takes none of the ways to log in that were tried. Compare what it offers for AUTH with SMTP_AUTH (plain, login, or unset for both); a login by OAuth alone is not supported.",
  },
  {
    applies: (facts) => facts.phase === "auth" && (facts.reply?.code ?? 0) >= 500,
    words:
      "The server did not accept the login. Check SMTP_USER and SMTP_PASS; providers with two-factor login want an app password.",
  },
  {
    applies: reply([535, 534, 538]),
    words:
      "The server did not accept the login. Check SMTP_USER and SMTP_PASS; providers with two-factor login want an app password.",
  },
  {
    applies: reply([530], undefined, /starttls|tls/i),
    words: "The server wants TLS before anything else. Set SMTP_TLS=required.",
  },
  {
    applies: reply([530]),
    words: "The server wants a login. Set SMTP_USER and SMTP_PASS.",
  },
  {
    applies: (facts) => facts.phase === "starttls" && (facts.reply?.code ?? 0) >= 500,
    words:
      "The server offers no STARTTLS, and SMTP_TLS=required insists on it. Use port 465 with SMTP_SECURE=true, or, for a relay without a login in a network of yours, set SMTP_TLS=opportunistic.",
  },
  {
    applies: (facts) => facts.phase === "greeting" && (facts.reply?.code ?? 0) >= 500,
    words:
      "The server turned us away before a word was said, often because of this machine's IP address. Use your provider's submission host.",
  },
  {
    applies: reply([550, 551, 553, 554], undefined, /relay/i),
    words:
      "The server will not relay for us. Log in (SMTP_USER, SMTP_PASS), or use a sender's address of a domain it serves.",
  },
  {
    applies: reply(
      [550, 551, 553, 554],
      /^5\.7\.|^$/,
      /access denied|authentication (is )?required|log ?in\b/i,
    ),
    words:
      "The server lets only those in who have logged in, or whom it knows. Set SMTP_USER and SMTP_PASS, or ask its operator.",
  },
  {
    applies: (facts) => hasWords(facts, /suspend|disabled|account.*(block|lock)/i),
    words: "The server has blocked the account. Its operator says why, and lifts it.",
  },
  {
    applies: (facts) => hasWords(facts, /too many recipients/i) || isTooMany(facts),
    words: "The server takes fewer recipients at once. The rest goes in further transactions.",
  },
  {
    applies: (facts) => hasWords(facts, /gr[ae]y-?list/i) && (facts.reply?.code ?? 0) < 500,
    words: "Greylisted: the server asks every new sender to come again.",
  },
  {
    applies: (facts) => isTemporary(facts) && hasWords(facts, limitWords),
    words:
      "The server limits how much it takes from this account or address. Send less at once (SMTP_RATE_PER_SECOND), or ask its operator for more.",
  },
  {
    applies: (facts) => hasWords(facts, /spamhaus|block ?list|black ?list|\brbl\b|dnsbl/i),
    words:
      "The server refuses this machine's IP address because it is on a blocklist. Use your provider's submission host, or have the address removed.",
  },
  {
    applies: (facts) => isTemporary(facts) && /^[45]\.3\.[^4]/.test(facts.reply?.enhanced ?? ""),
    words:
      "The server itself cannot take mail now: its storage, its configuration or a service behind it. Its operator has to look.",
  },
  {
    applies: reply([450, 501, 550, 553], /^[45]\.1\.[78]/),
    words:
      "The server does not accept the sender's address. Check SMTP_FROM, and that its domain has an MX or A record.",
  },
  {
    applies: reply([550, 551, 553], /^5\.1\.[126]|^$/),
    words: "The recipient's address does not exist there. Check it for a typing error.",
  },
  {
    applies: reply([452, 552, 550, 554, 422], /^[45]\.2\.2/),
    words: "The recipient's mailbox is full.",
  },
  {
    applies: reply([552, 554, 550, 523], /^5\.3\.4|^5\.2\.3|^$/, /size|large/i),
    words: "The message is too large for the server. Send smaller attachments, or a link.",
  },
  {
    applies: reply([550, 553, 554, 571], /^5\.7\./),
    words:
      "The server refuses the message by its policy: often SPF, DKIM or DMARC of the sender's domain, or its reputation. The reply says more.",
  },
];

const limitWords = /throttl|rate ?limit|too (much|many)|quota exceeded|exceeded.*(limit|rate)/i;

/** What a person can do about it, in a sentence or two. Never empty. */
export function adviceFor(facts: AdviceFacts): string {
  const words = wordsFor(facts);
  if (!isTemporary(facts)) return words;
  const next = facts.isFinal ? "Send it again in a few minutes." : "It will be tried again.";
  return `${words} ${next}`;
}

function wordsFor(facts: AdviceFacts): string {
  const found = advices.find(({ applies }) => applies(facts));
  if (found) return found.words;
  const code = facts.reply?.code ?? 0;
  if (isTemporary(facts)) return "The server cannot take the message now.";
  if (code >= 500) return "The server refuses the message for good. Its reply says why.";
  if (code >= 200) return "The SMTP server accepted the message.";
  return "No reply has come yet.";
}

function hasWords({ reply: said }: AdviceFacts, pattern: RegExp): boolean {
  return said !== null && said.code >= 400 && pattern.test(said.text);
}

/** Whether the server may take it later: what nobody can mend by waiting is not. */
function isTemporary({ reply: said }: AdviceFacts): boolean {
  return said !== null && said.code >= 400 && !isPermanent(said);
}

function isTooMany({ reply: said }: AdviceFacts): boolean {
  return said !== null && /^[45]\.5\.3$/.test(said.enhanced ?? "");
}

function isEarly(phase: SmtpPhase | null): boolean {
  return phase === null || phase === "connect" || phase === "greeting" || phase === "ehlo";
}
