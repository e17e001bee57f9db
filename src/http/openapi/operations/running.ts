import { z } from "zod";
import { endSessionsSchema, endTokensSchema } from "../../credentials/end-credentials.ts";
import { pauseSchema, resumeSchema } from "../../operations/pause-sending.ts";
import { dataOf, lastPage, listOf } from "../answers/fields.ts";
import {
  check,
  databaseCopy,
  droppedKey,
  endedSessions,
  endedTokens,
  health,
  live,
  owner,
  pause,
  pauseExample,
  queueStats,
  ready,
  resumed,
  round,
  signingKey,
} from "../answers/work.ts";
import { type Answer, bodyOf, type Operation } from "../operation.ts";

const v1 = "/api/v1";
const success = (description: string, schema: z.ZodType, data: unknown): Answer => ({
  status: 200,
  description,
  body: { schema: dataOf(schema), example: { success: true, data } },
});

const target = {
  region: "That region. Default: the one that is asked.",
  owner: "That owner, in every region. Not together with `region`.",
};

const adminOperations: readonly Operation[] = [
  {
    method: "POST",
    path: `${v1}/pause`,
    id: "pauseSending",
    group: "Operation",
    summary: "Pause sending",
    description:
      "Once this is answered nothing of the region, or of the owner, begins its message until " +
      "somebody resumes it. Emails are accepted, changed and cancelled meanwhile.",
    body: bodyOf(pauseSchema, {
      name: "Pause",
      words: {
        ...target,
        reason: "Why, 1 to 500 characters on one line; it stands in the journal.",
      },
      examples: {
        region: { summary: "This region", value: { reason: "the provider is being changed" } },
        owner: { summary: "One owner", value: { owner: "ada", reason: "a runaway program" } },
      },
    }),
    answers: [
      success("The pause; the earlier one when it was paused already.", pause, pauseExample),
    ],
  },
  {
    method: "POST",
    path: `${v1}/resume`,
    id: "resumeSending",
    group: "Operation",
    summary: "Resume sending",
    description: "Emails that became due meanwhile go out within about a second.",
    body: bodyOf(resumeSchema, {
      name: "Resume",
      isOptional: true,
      words: {
        ...target,
        restored:
          "Instead of a region or an owner: ends the pause of a database that was restored or " +
          "copied. Emails that were due between the dump and now may have been sent already: `send` " +
          "sends them, `hold` holds each of them for a decision.",
        reason: "Why; it stands in the journal.",
      },
      examples: {
        region: { summary: "This region", value: {} },
        owner: { summary: "One owner", value: { owner: "ada", reason: "it was mended" } },
        restored: { summary: "A restored database", value: { restored: "hold" } },
      },
    }),
    answers: [
      success("Whether there was a pause to end.", resumed, {
        kind: "region",
        name: "fra",
        was_paused: true,
      }),
    ],
  },
  {
    method: "POST",
    path: `${v1}/sessions/end`,
    id: "endSessions",
    group: "Operation",
    summary: "End sessions of the console",
    description:
      "Ends the sessions of one owner, or everybody's: every browser signs in anew, within a second.",
    body: bodyOf(endSessionsSchema, {
      name: "EndSessions",
      words: {
        owner: "Whose sessions; not together with `all`.",
        all: "`true`: everybody's, the caller's own included.",
      },
      examples: {
        owner: { summary: "One owner's", value: { owner: "leaver" } },
        all: { summary: "Everybody's", value: { all: true } },
      },
    }),
    answers: [success("How many have ended.", endedSessions, { owner: "leaver", ended: 2 })],
  },
  {
    method: "POST",
    path: `${v1}/tokens/end`,
    id: "endTokens",
    group: "Operation",
    summary: "End an owner's tokens",
    description:
      "No token of this owner counts that was issued up to now, on every process within two " +
      "seconds, and their sessions of the console end. Answered once the second is over: a token " +
      "made afterwards counts. API keys stay; revoke those one by one.",
    body: bodyOf(endTokensSchema, {
      name: "EndTokens",
      words: { sub: "The `sub` of the tokens." },
      examples: { owner: { summary: "Somebody who left", value: { sub: "leaver" } } },
    }),
    answers: [
      success("From when on tokens count.", endedTokens, {
        sub: "leaver",
        not_before: "2030-01-04T08:00:01.000Z",
        sessions_ended: 1,
      }),
    ],
  },
  {
    method: "GET",
    path: `${v1}/owners`,
    id: "listOwners",
    group: "Operation",
    summary: "List owners",
    description: "Everybody whose emails there are, by name, with what each uses of its quotas.",
    parameters: {
      cursor: {
        description: "`page.next_cursor` of the answer before: the next page.",
        schema: { type: "string", minLength: 1, maxLength: 2000 },
        example: Buffer.from('{"after":"ada"}').toString("base64url"),
      },
    },
    answers: [
      {
        status: 200,
        description: "One page.",
        body: {
          schema: listOf(owner),
          example: {
            success: true,
            data: [
              {
                owner: "ada",
                usage: { accepted_today: 12, pending: 3 },
                quotas: { emails_per_day: 1000, pending: null },
                last_activity_at: "2030-01-04T08:00:00.412Z",
              },
            ],
            page: lastPage,
          },
        },
      },
    ],
  },
  {
    method: "GET",
    path: `${v1}/doctor`,
    id: "examine",
    group: "Operation",
    summary: "Examine every part",
    description:
      "What `taskforce-mailer doctor` finds: database, queue, SMTP login, clock, DNS of the " +
      "sender's domain, what is stuck. Within ten seconds.",
    answers: [
      success("One entry for each look.", z.array(check), [
        { check: "database", status: "ok", saw: "postgres answers in 2 ms", advice: null },
      ]),
    ],
  },
  {
    method: "POST",
    path: `${v1}/reconcile`,
    id: "reconcile",
    group: "Operation",
    summary: "Reconcile now",
    description: "One round of what every process does every few seconds by itself.",
    answers: [
      success("What it found.", round, {
        dead_workers: 0,
        taken_over: 0,
        orphans_settled: 0,
        poison_held: 0,
      }),
    ],
  },
  {
    method: "POST",
    path: `${v1}/backup`,
    id: "copyDatabase",
    group: "Operation",
    summary: "Copy the embedded database",
    description:
      "For `taskforce-mailer backup` on the same machine, which packs the copy and removes it. " +
      "Emails are accepted and sent meanwhile.",
    answers: [
      success("Where the copy lies.", databaseCopy, {
        folder: "backup.tmp-3f2b8c1d",
        size_bytes: 52_428_800,
        held_ms: 12,
      }),
    ],
    errors: ["not_supported_yet"],
  },
  {
    method: "GET",
    path: `${v1}/signing-keys`,
    id: "listSigningKeys",
    group: "Operation",
    summary: "List signing keys",
    description: "The keys of `JWKS_URL` that tokens are verified with, and those dropped here.",
    answers: [
      success("Every key.", z.array(signingKey), [
        { kid: "2027-key-1", algorithm: "ES256", dropped_at: null },
      ]),
    ],
  },
  {
    method: "DELETE",
    path: `${v1}/signing-keys/:kid`,
    id: "dropSigningKey",
    group: "Operation",
    summary: "Drop a signing key",
    description:
      "No token signed with it counts any more, on every process within two seconds, whatever the " +
      "key set still says.",
    answers: [success("It is dropped.", droppedKey, { kid: "2027-key-1", status: "dropped" })],
    errors: ["not_found"],
  },
];

const byStatus = {
  pending: 20,
  sending: 0,
  sent: 1042,
  partially_sent: 1,
  failed: 12,
  uncertain: 1,
  held: 2,
  cancelled: 7,
  expired: 0,
  suppressed: 0,
};

const watchingOperations: readonly Operation[] = [
  {
    method: "GET",
    path: `${v1}/queue-stats`,
    id: "getQueueStats",
    group: "Operation",
    summary: "Count emails by state",
    description: "The caller's own emails; for an admin everybody's.",
    answers: [
      success("The counts.", queueStats, {
        waiting: 3,
        active: 0,
        delayed: 17,
        completed: 1043,
        failed: 13,
        paused: 2,
        sending_paused: [],
        workers: 2,
        oldest_due_ms: 41,
        by_status: byStatus,
      }),
    ],
  },
  {
    method: "GET",
    path: "/health",
    id: "getHealth",
    group: "Operation",
    summary: "Get health",
    description: "How each part is. No secrets, no addresses of servers. `degraded` is 200.",
    answers: [
      {
        status: 200,
        description: "It works, if only degraded.",
        body: {
          schema: health,
          example: {
            status: "ok",
            components: {
              database: { status: "ok", driver: "postgres" },
              queue: { status: "ok", driver: "redis" },
            },
          },
        },
      },
      {
        status: 503,
        description: "It does not work.",
        body: {
          schema: health,
          example: {
            status: "down",
            components: { database: { status: "down", driver: "postgres", detail: "no answer" } },
          },
        },
        headers: ["Retry-After"],
      },
    ],
  },
  {
    method: "GET",
    path: "/health/live",
    id: "getLiveness",
    group: "Operation",
    summary: "Ask whether the process answers",
    description: "For a supervisor that restarts what does not.",
    answers: [
      { status: 200, description: "It does.", body: { schema: live, example: { status: "ok" } } },
    ],
  },
  {
    method: "GET",
    path: "/health/ready",
    id: "getReadiness",
    group: "Operation",
    summary: "Ask whether emails are accepted",
    description: "For a load balancer that sends traffic elsewhere meanwhile.",
    answers: [
      {
        status: 200,
        description: "They are.",
        body: { schema: ready, example: { status: "ok" } },
      },
      {
        status: 503,
        description: "They are not.",
        body: { schema: ready, example: { status: "down", reason: "shutting down" } },
        headers: ["Retry-After"],
      },
    ],
  },
  {
    method: "GET",
    path: "/metrics",
    id: "getMetrics",
    group: "Operation",
    summary: "Get metrics",
    description: "Prometheus' text format; for admins, or with `METRICS_TOKEN` as the bearer.",
    answers: [
      {
        status: 200,
        description: "The metrics.",
        body: { type: "text/plain", example: "# TYPE mailer_emails_sent_total counter\n" },
      },
    ],
  },
  {
    method: "GET",
    path: "/openapi.json",
    id: "getOpenApi",
    group: "Documentation",
    summary: "Get this description",
    description: "OpenAPI 3.1, made from the schemas that the server validates with.",
    answers: [
      {
        status: 200,
        description: "The document.",
        body: {
          schema: z.looseObject({
            openapi: z.string().meta({ description: "Version of OpenAPI." }),
            info: z.record(z.string(), z.unknown()).meta({ description: "About the API." }),
            paths: z.record(z.string(), z.unknown()).meta({ description: "Its operations." }),
          }),
          example: {
            openapi: "3.1.1",
            info: { title: "Taskforce Mailer", version: "0.1.0" },
            paths: {},
          },
        },
      },
    ],
  },
];

export const runningOperations: readonly Operation[] = [...adminOperations, ...watchingOperations];
