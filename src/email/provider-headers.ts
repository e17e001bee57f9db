/**
 * Headers by which a sender commands the service behind the next hop: to add recipients we never
 * see, to send at another time, from another account or over another address, to drop the mail.
 * To a recipient they mean nothing. A `*` at the end stands for whatever follows.
 */
const commands: readonly string[] = [
  // Twilio SendGrid; Mandrill; SparkPost and Momentum; Mailgun; Amazon SES.
  ...["X-SMTPAPI", "X-MC-*", "X-MSYS-*", "X-Binding", "X-Mailgun-*", "X-SES-*"],
  // Postmark; Mailjet; Brevo, before Sendinblue, before Mailin.
  ...["X-PM-*", "X-MJ-*", "X-Mailjet-*", "X-Mailin-*", "X-Sib-*", "X-Sendinblue-*", "X-Brevo-*"],
  // SocketLabs; Elastic Email; SMTP2GO; MailerSend; Mailtrap; Resend; Mailchannels.
  ...["X-xsMessageId", "X-xsMailingId", "X-SocketLabs-*", "X-ElasticEmail-*", "X-PostBack"],
  ...["X-SMTP2GO-*", "X-MailerSend-*", "X-MT-*", "X-Mailtrap-*", "X-Resend-*", "X-MailChannels-*"],
  // Postal; Tipimail; Netcore, before Pepipost; MailPace, before OhMySMTP; EmailDelivery.
  ...["X-Postal-*", "X-TM-*", "X-APIHeader", "X-UniqId", "X-Tags", "X-MailPace-*", "X-OhMySMTP-*"],
  ...["X-Transactional-*", "X-Auth-*", "X-DKIM-Options"],
  // PowerMTA; GreenArrow; KumoMTA; Halon.
  ...["X-Virtual-MTA", "X-VirtualMTA", "X-Job", "X-EnvId", "X-PMTA-*", "X-PowerMTA-*"],
  ...["X-GreenArrow-*", "X-Kumo-*", "X-Tenant", "X-Halon-*"],
  // Envelopes in headers: relays and gateways; the pickup folders of IIS and Exchange, which read
  // MAIL FROM and RCPT TO there.
  ...["X-Envelope-*", "X-Original-To", "X-Original-From", "X-Rcpt-To", "X-RcptTo", "X-Bcc"],
  ...["X-Mail-From", "X-Return-Path", "X-Delivered-To", "X-Forwarded-To"],
  ...["X-Sender", "X-Receiver", "X-CreatedBy", "X-HeloDomain", "X-EndOfInjectedXHeaders"],
  ...["X-ExtendedMessageProps", "X-Source", "X-SourceIPAddress", "X-Sender-Id", "X-Errors-To"],
  // What servers of one organisation believe of each other: spam scores, journals, who sent it.
  ...["X-MS-Exchange-*", "X-MS-Journal-*", "X-OriginatorOrg", "X-Forefront-*", "X-Microsoft-*"],
  ...["X-Gm-*", "X-Google-*"],
];

/** The pattern of the list that this header is one of; null: it commands nobody. */
export function providerCommand(name: string): string | null {
  return commands.find((pattern) => isNamedBy(name, pattern)) ?? null;
}

/** Whether `name` is the header `pattern`, or begins as it does before its `*`. */
export function isNamedBy(name: string, pattern: string): boolean {
  const [given, wanted] = [name.toLowerCase(), pattern.toLowerCase()];
  return wanted.endsWith("*") ? given.startsWith(wanted.slice(0, -1)) : given === wanted;
}

/** The name of a header, or the beginning of names and a `*`: what HEADERS_ALLOWED lists. */
export const headerPattern = /^[\w!#$%&'+.^`|~-]{1,75}\*?$/;
