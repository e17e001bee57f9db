import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createJournal } from "../../store/journal.ts";
import {
  createDocumentedApi,
  type DocumentedOperation,
} from "../../testing/fixtures/documented-api.ts";
import {
  type ApiRequest,
  noUserReply,
  startTestApi,
  type TestAnswer,
  type TestApi,
} from "../../testing/product/test-api.ts";
import { until } from "../../testing/servers/child-server.ts";
import { type HttpTarget, startHttpTarget } from "../../testing/servers/http-target.ts";
import { routesOf } from "../app.ts";
import { isResendPath } from "../resend/failure.ts";
import { describeApi } from "./document.ts";
import { operations } from "./operations.ts";
import { emailId } from "./parameters.ts";

setDefaultTimeout(120_000);

type Json = Record<string, unknown>;
let api: TestApi;
let receiver: HttpTarget;
let deliveryId = "msg_none";
beforeAll(async () => {
  api = await startTestApi();
  receiver = await startHttpTarget((_, res) => res.end("ok"));
  // So that no list is empty.
  for (const make of [sent, failed, held, apiKey]) await make();
  const journal = createJournal(api.database);
  while ((await journal.seal(100)).hasMore);
});
afterAll(async () => {
  await api?.close();
  await receiver?.close();
});

const documented = createDocumentedApi(
  describeApi(routesOf({} as TestApi["deps"]), operations, ""),
);

async function sent(): Promise<string> {
  const id = await api.schedule();
  await api.deliver(id);
  return id;
}

async function failed(): Promise<string> {
  const id = await api.schedule();
  await api.deliver(id, noUserReply);
  return id;
}

async function held(): Promise<string> {
  const id = await api.schedule();
  await api.request("POST", `/api/v1/emails/${id}/hold`);
  return id;
}

async function apiKey(): Promise<string> {
  const body = { name: "a key", scopes: ["read"] };
  const made = await api.request<{ id: string }>("POST", "/api/v1/api-keys", { body });
  return made.json.data.id;
}

/** Its receiver answers; its only delivery is `deliveryId`. */
async function webhook(): Promise<string> {
  const url = `http://127.0.0.1:${receiver.port}/`;
  const made = await api.request<{ id: string }>("POST", "/api/v1/webhooks", { body: { url } });
  const { id } = made.json.data;
  deliveryId = `msg_${id}`;
  const event = { position: 1, type: "email.sent", emailId: null, sequence: 1 };
  await api.deps.webhooks.replay(
    {
      ...{ webhookId: id, items: [{ ...event, id: deliveryId }] },
      ...{ firstInMs: 0, everyMs: 0, isLast: true, origin: null },
    },
    { role: "user", sub: "ada" },
  );
  return id;
}

const attached = () =>
  api.schedule({
    attachments: [{ filename: "a.txt", content: "aGk=", contentType: "text/plain" }],
  });

/** Makes what an operation needs to answer with success; default: a pending email. */
const made: Record<string, () => Promise<string>> = {
  getStatus: sent,
  getEmail: sent,
  destroyContent: sent,
  replayDeadLetter: failed,
  dismissDeadLetter: failed,
  releaseEmail: held,
  getAttachment: attached,
  getApiKey: apiKey,
  revokeApiKey: apiKey,
  getWebhook: webhook,
  updateWebhook: webhook,
  deleteWebhook: webhook,
  rotateWebhookSecret: webhook,
  testWebhook: webhook,
  listWebhookDeliveries: webhook,
  replayWebhookDelivery: webhook,
  replayWebhook: webhook,
};

async function targetOf({ id, path }: DocumentedOperation): Promise<string> {
  const known: Record<string, string> = { n: "0", kid: "2027-key-1" };
  const makes = made[id] ?? (() => api.schedule());
  if (path.includes("{id}")) known.id = await makes();
  known.delivery = deliveryId;
  return path.replace(/\{(\w+)\}/g, (_, name: string) => known[name] ?? "");
}

async function call(
  operation: DocumentedOperation,
  { query = "", ...request }: ApiRequest & { query?: string } = {},
): Promise<TestAnswer<unknown>> {
  const target = await targetOf(operation);
  const before = api.delivery.told.length;
  const answer = api.request(operation.method, `${target}${query}`, { role: "admin", ...request });
  if (operation.id === "sendTestEmail") {
    await until("the email is accepted", () => api.delivery.told.length > before);
    const newest = await api.request<{ id: string }[]>("GET", "/api/v1/scheduled-emails?limit=1");
    await api.deliver(newest.json.data[0]?.id ?? "");
  }
  return await answer;
}

function examplesOf({ json }: DocumentedOperation): unknown[] {
  const content = (json.requestBody as Json | undefined)?.content as Json | undefined;
  const media = content?.["application/json"] as { examples: Record<string, Json> } | undefined;
  return Object.values(media?.examples ?? {}).map(({ value }) => value);
}

function queriesOf({ json }: DocumentedOperation): string[] {
  return ((json.parameters ?? []) as Json[])
    .filter((parameter) => parameter.in === "query")
    .map(({ name, example }) => {
      const isObject = typeof example === "object";
      const pairs = isObject ? (example as Record<string, string>) : { [String(name)]: example };
      return `?${new URLSearchParams(pairs as Record<string, string>)}`;
    });
}

/** Each success that a caller gets only under conditions of its own. */
const special: Record<string, (operation: DocumentedOperation) => Promise<TestAnswer<unknown>>> = {
  "scheduleMail 200": (one) => call(one, { query: "?dry_run=true", body: examplesOf(one)[0] }),
  "getHealth 503": (one) => callWhileDown(one),
  "getReadiness 503": (one) => callWhileDown(one),
};

async function callWhileDown(operation: DocumentedOperation): Promise<TestAnswer<unknown>> {
  const { health } = api.deps;
  api.deps.health = async () => ({ status: "down", accepting: false, components: {} });
  return await call(operation).finally(() => {
    api.deps.health = health;
  });
}

function expectDocumented(operation: DocumentedOperation, answer: TestAnswer<unknown>): void {
  expect([answer.text.slice(0, 300), documented.faultsOf(operation, answer)]).toEqual([
    answer.text.slice(0, 300),
    [],
  ]);
}

test.each(documented.operations.map((one) => [one.id, one] as const))(
  "%s answers as documented, to every example as it stands",
  async (_, operation) => {
    const seen = new Set<string>();
    const note = (answer: TestAnswer<unknown>) => {
      expectDocumented(operation, answer);
      expect([answer.status < 300 || operation.path.startsWith("/health"), answer.text]).toEqual([
        true,
        answer.text,
      ]);
      seen.add(String(answer.status));
    };
    const bodies = examplesOf(operation);
    for (const body of bodies) note(await call(operation, { body }));
    if (bodies.length === 0) {
      for (const query of ["", ...queriesOf(operation)]) {
        // A page next to an email that is there.
        const asked = query.replace(emailId, await api.schedule());
        note(await call(operation, { query: asked }));
      }
    }
    const successes = Object.keys(operation.json.responses as Json).filter(
      (status) =>
        documented.resolve((operation.json.responses as Record<string, Json>)[status] ?? {})
          .content !== undefined && !isProblem(operation, status),
    );
    for (const status of successes) {
      if (seen.has(status)) continue;
      const answer = await special[`${operation.id} ${status}`]?.(operation);
      expect([status, answer?.status]).toEqual([status, Number(status)]);
      if (answer !== undefined) expectDocumented(operation, answer);
    }
  },
);

function isProblem({ json, path }: DocumentedOperation, status: string): boolean {
  if (isResendPath(path)) return Number(status) >= 400;
  const response = (json.responses as Record<string, Json>)[status] ?? {};
  const { content } = documented.resolve(response);
  return Object.hasOwn((content ?? {}) as object, "application/problem+json");
}

test("what is answered and not documented is found", async () => {
  const operation = documented.operations.find(({ id }) => id === "getQueueStats");
  if (operation === undefined) throw new Error("it is gone");
  const answer = await call(operation);
  const more = answer.text.replace('"waiting":', '"surely_unknown":1,"waiting":');
  expect(documented.faultsOf(operation, { ...answer, text: more })).not.toEqual([]);
  expect(documented.faultsOf(operation, { ...answer, status: 418 })).not.toEqual([]);
});
