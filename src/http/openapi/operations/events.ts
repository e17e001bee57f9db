import { eventExample, eventPage, streamToken } from "../answers/events.ts";
import { dataOf } from "../answers/fields.ts";
import type { Operation, Parameter } from "../operation.ts";

const v1 = "/api/v1";

const position = (description: string): Parameter => ({
  description,
  schema: { type: "string", pattern: "^\\d{1,16}$" },
  example: "1",
});

/** Of events, in pages and streams. */
export const eventParameters: Record<string, Parameter> = {
  type: {
    description: "Events of these types, several by commas; `email.*` stands for all.",
    schema: { type: "string" },
    example: "email.sent,email.bounced",
  },
  tag: {
    description: "Events of emails that carry this tag.",
    schema: { type: "string" },
    example: "orders",
  },
  status: {
    description: "Events after which the email had this status.",
    schema: { type: "string" },
    example: "failed",
  },
  owner: {
    description: "Events of this owner. Only an admin may ask for another owner's.",
    schema: { type: "string", minLength: 1, maxLength: 255 },
    example: "ada",
  },
  cursor: position("`page.next_cursor` of the answer before: the next page."),
  after: position(
    "The `id` of an event: what comes behind it, oldest first. A stream begins there; the header " +
      "`Last-Event-ID` comes before it.",
  ),
  token: {
    description:
      "In place of the header, for a stream that a browser's `EventSource` opens: a token of " +
      "`POST /api/v1/events/token`.",
    schema: { type: "string" },
    example: "v1.key.nonce.text",
  },
};

const streamWords =
  "With `Accept: text/event-stream` it answers a stream: `id` is the event's place in the journal, " +
  "`event` its type, `data` the rest. `Last-Event-ID` goes on without a gap and without a double. " +
  "A comment comes every 15 seconds when nothing else does, and the stream ends with its credential.";

export const eventOperations: readonly Operation[] = [
  {
    method: "GET",
    path: `${v1}/events`,
    id: "listEvents",
    group: "Events",
    summary: "List events, or follow them live",
    description:
      "What happened to your emails, newest first; with `after` oldest first. A page may hold fewer " +
      `than \`limit\` and still have a next one. ${streamWords} Without a place it begins now.`,
    parameters: eventParameters,
    answers: [
      {
        status: 200,
        description: "A page of events.",
        body: {
          schema: eventPage,
          example: {
            success: true,
            data: [eventExample],
            page: { limit: 20, offset: 0, next_cursor: null },
          },
        },
      },
    ],
    errors: ["overloaded"],
  },
  {
    method: "POST",
    path: `${v1}/events/token`,
    id: "createStreamToken",
    group: "Events",
    summary: "Make a token for a stream",
    description:
      "For a browser, whose `EventSource` cannot send the Authorization header. It opens streams of " +
      "events for one minute and nothing else; a stream ends when the credential behind it does.",
    answers: [
      {
        status: 201,
        description: "The token.",
        body: {
          schema: dataOf(streamToken),
          example: {
            success: true,
            data: { token: "v1.key.nonce.text", expires_at: "2030-01-02T14:32:07.120Z" },
          },
        },
      },
    ],
  },
];

export const emailEventWords = `${streamWords} It begins with the first event.`;
