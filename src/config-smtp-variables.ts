import {
  address,
  addressOrDomain,
  decimal,
  flag,
  integer,
  listOf,
  oneOf,
  text,
} from "./config-parsers.ts";
import { hidden, plain } from "./config-variable.ts";
import { headerPattern } from "./email/provider-headers.ts";

/** RFC 5321 section 4.1.1.1: a domain, or an address literal. */
const ehloNamePattern =
  /^(?=.{1,255}$)([A-Za-z0-9]([\w-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([\w-]*[A-Za-z0-9])?)*|\[[\w.:]+\])$/;

/** How mail leaves: the next hop, the sender, and what the hop allows. */
export const smtpVariables = {
  TRANSPORT: plain(oneOf("smtp", "capture"), {
    default: "`smtp` with `SMTP_HOST`, else `capture`",
    meaning: "`capture` sends nothing and writes every message to `DATA_DIR/captured`",
    example: "capture",
  }),
  SMTP_HOST: plain(text("a host name or an IP address", /^[\w.:-]+$/), {
    meaning:
      "Your SMTP server. Required in production and with a shared database, unless `TRANSPORT=capture`",
    example: "smtp.example.com",
  }),
  SMTP_HOST_DEFAULT: plain(text("a host name or an IP address", /^[\w.:-]+$/), {
    meaning:
      "Used where `SMTP_HOST` is not set. For files that others fill in: the compose file sets it " +
      "to `smtp.gmail.com`",
    example: "smtp.gmail.com",
  }),
  SMTP_PORT: plain(integer(1, 65_535), {
    default: "`587`; `465` with `SMTP_SECURE`",
    meaning: "Port of `SMTP_HOST`",
    example: "587",
  }),
  SMTP_SECURE: plain(flag(), {
    default: "`false`",
    meaning: "`true`: TLS from the first byte; `false`: STARTTLS",
    example: "false",
  }),
  SMTP_USER: plain(text("a user name without line breaks", /^[^\r\n\0]+$/), {
    meaning: "User name for AUTH",
    example: "mailer@example.com",
  }),
  SMTP_PASS: hidden(text("a password without line breaks", /^[^\r\n\0]+$/), {
    meaning: "Password for AUTH",
    example: "an-app-password",
  }),
  SMTP_AUTH: plain(oneOf("plain", "login"), {
    default: "what the server offers; after a refusal the next one it offers",
    meaning: "The one mechanism to log in by",
    example: "login",
  }),
  SMTP_TLS: plain(oneOf("required", "opportunistic", "off"), {
    default:
      "`required` with a user or `SMTP_SECURE` and a host that is not this machine, else " +
      "`opportunistic`",
    meaning:
      "`required` insists on TLS and a valid certificate, `opportunistic` takes what it gets and " +
      "verifies nothing, `off` never uses STARTTLS. With a user only `required` is taken, but for " +
      "this machine: a password never goes over a connection that is not verified",
    example: "required",
  }),
  SMTP_TLS_CA: plain(text("a PEM file"), {
    meaning: "PEM file with certificates trusted in addition to the system's",
    example: "/etc/ssl/company-ca.pem",
  }),
  SMTP_EHLO_NAME: plain(text("a host name, or an address such as [192.0.2.1]", ehloNamePattern), {
    default:
      "the host's name if it has a dot, else the host of `PUBLIC_URL`, else the domain of `SMTP_FROM`",
    meaning:
      "The name this host greets the SMTP server with (EHLO). Some servers want one that stands in the DNS",
    example: "mailer.example.com",
  }),
  SMTP_FROM: plain(address(), {
    default: "`SMTP_USER` if it is an address; when capturing `mailer@localhost`",
    meaning: "Sender of e-mails that name none",
    example: "no-reply@example.com",
  }),
  SMTP_FROM_NAME: plain(text("a name without line breaks", /^[^\r\n\0]{1,200}$/), {
    meaning: "Name shown beside `SMTP_FROM`",
    example: "Example Ltd",
  }),
  SMTP_FROM_ALLOWED: plain(listOf(addressOrDomain()), {
    default: "the domain of `SMTP_FROM`; any without `SMTP_FROM` or when capturing",
    meaning: "Addresses and domains callers may send from, separated by commas",
    example: "example.com,news@example.org",
  }),
  HEADERS_ALLOWED: plain(
    listOf(text("names of headers, `*` at the end for all that begin so", headerPattern)),
    {
      default: "none",
      meaning:
        "Headers that mail providers take for commands and that callers may set all the same, " +
        "separated by commas; any other is refused by name",
      example: "X-PM-Tag,X-SES-*",
    },
  ),
  SMTP_REPLY_TIMEOUT_MS: plain(integer(500, 3_600_000), {
    default: "`600000`",
    meaning: "How long the SMTP server may take to answer the end of a message (RFC 5321: 10 min)",
    example: "600000",
  }),
  SMTP_POOL_SIZE: plain(integer(1, 1000), {
    default: "`20`",
    meaning:
      "Connections to the SMTP server at the same time, at most. Where it allows fewer, as many are " +
      "used as it allows, and the log says so",
    example: "20",
  }),
  SMTP_MESSAGES_PER_CONNECTION: plain(integer(1, 1_000_000), {
    default: "`100`",
    meaning:
      "Messages sent over one connection before it is replaced by a new one. `10` for Exim, which " +
      "by default leaves the eleventh and later ones to its queue runner, up to half an hour",
    example: "10",
  }),
  SMTP_RATE_PER_SECOND: plain(decimal(0.01, 10_000), {
    default: "no limit",
    meaning:
      "Maximum messages per second, for all processes and regions on one database together; `0.5` is " +
      "one every two seconds. With several processes a single second can see a few more",
    example: "14",
  }),
  MAX_MESSAGE_MB: plain(integer(1, 200), {
    default: "`35`",
    meaning: "Largest composed message",
    example: "35",
  }),
};
