import { z } from "zod";
import { emailEventTypes } from "../../../email/event-types.ts";
import { instant, page, text, uuid, whole } from "./fields.ts";

/** The payload of an event: the same in pages, in streams and in webhooks. */
export const eventFields = {
  type: z.string().meta({
    description: `What happened: ${emailEventTypes.map((type) => `\`${type}\``).join(", ")}; in a timeline also \`email.shredded\` and \`claim.returned\`.`,
  }),
  timestamp: instant("When it happened."),
  data: z
    .object({
      email_id: uuid("Which email."),
      sequence: whole("Orders the events of one email, from 1."),
      status: text("The email's status after it."),
      attempt: z.int().optional().meta({ description: "Number of the attempt it belongs to." }),
      recipient: z.string().optional().meta({
        description: "The address it is about, when it is about one alone.",
      }),
      smtp_code: z.int().optional().meta({ description: "Of the next hop's reply." }),
      reply: z.string().optional().meta({ description: "What the next hop said." }),
      tags: z.array(z.string()).meta({ description: "The email's tags, as they are now." }),
      metadata: z
        .record(z.string(), z.unknown())
        .meta({ description: "The email's metadata, as they are now." }),
    })
    .meta({ description: "Never content." }),
};

export const event = z.object({
  id: text("Its place in the journal; `after` and `Last-Event-ID` take it."),
  ...eventFields,
});

export const eventPage = z.object({
  success: z.literal(true).meta({ description: "Always true here." }),
  data: z.array(event),
  page: page.extend({
    next_after: z.string().optional().meta({
      description: "With `after`: give it as `after` for what comes behind this page.",
    }),
  }),
});

export const streamToken = z.object({
  token: text("Give it as `token` in the address of a stream."),
  expires_at: instant("Until when a stream may be opened with it."),
});

export const eventExample = {
  id: "4711",
  type: "email.bounced",
  timestamp: "2030-01-04T08:00:00.412Z",
  data: {
    email_id: "01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10",
    sequence: 3,
    status: "failed",
    attempt: 1,
    recipient: "ada@example.com",
    smtp_code: 550,
    reply: "No such user here",
    tags: ["orders"],
    metadata: { order: "8713" },
  },
};
