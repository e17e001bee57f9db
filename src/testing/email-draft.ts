import type { Attachment, EmailDraft } from "../email/email.ts";

/** A complete draft; name only what a test is about. */
export function emailDraft(changes: Partial<EmailDraft> = {}): EmailDraft {
  return {
    from: { address: "sender@example.com", name: null },
    replyTo: null,
    to: [{ address: "one@example.org", name: null }],
    cc: [],
    bcc: [],
    subject: "Hello",
    body: "Good morning.",
    htmlBody: null,
    headers: {},
    attachments: [],
    scheduledAt: null,
    maxRetries: 3,
    maxAgeSeconds: 345_600,
    expiresAt: null,
    maxLatenessSeconds: null,
    onLate: "send",
    onUncertain: "retry",
    tags: [],
    metadata: {},
    region: null,
    ...changes,
  };
}

export function attachment(changes: Partial<Attachment> = {}): Attachment {
  return {
    filename: "file.bin",
    contentType: "application/octet-stream",
    contentId: null,
    content: Buffer.from("content"),
    ...changes,
  };
}
