import { describe, expect, test } from "bun:test";
import { isNamedBy, providerCommand } from "./provider-headers.ts";

test.each([
  ...["X-SMTPAPI", "x-smtpapi", "X-MC-BccAddress", "X-MSYS-API", "X-Mailgun-Variables"],
  ...["X-SES-CONFIGURATION-SET", "X-PM-Message-Stream", "X-MJ-TemplateID", "X-Mailin-custom"],
  ...["X-Envelope-To", "X-Sib-Sandbox", "X-ElasticEmail-Channel", "X-VirtualMTA", "x-job"],
  ...["X-xsMailingId", "X-Receiver", "X-MS-Exchange-Organization-SCL", "X-GreenArrow-MailClass"],
])("%s commands a provider", (name) => {
  expect(providerCommand(name)).not.toBeNull();
});

test.each([
  ...["X-Ticket", "X-Priority", "X-Mailer", "X-Entity-Ref-ID", "X-Auto-Response-Suppress"],
  ...["X-Campaign", "X-MCx", "X-Jobs", "References", "List-Unsubscribe", "Precedence"],
])("%s commands none", (name) => {
  expect(providerCommand(name)).toBeNull();
});

describe("a pattern", () => {
  test.each([
    ["X-PM-Tag", "x-pm-tag", true],
    ["X-PM-Tag", "X-PM-*", true],
    ["X-PM-Tag", "X-PM", false],
    ["X-PM", "X-PM-*", false],
  ])("%s is named by %s: %p", (name, pattern, isNamed) => {
    expect(isNamedBy(name, pattern)).toBe(isNamed);
  });
});
