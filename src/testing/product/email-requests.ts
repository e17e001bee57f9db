import { expect } from "bun:test";
import { until } from "../servers/child-server.ts";
import type { Acceptance } from "../servers/smtp-sink.ts";
import type { Product } from "./product.ts";
import type { EmailAnswer } from "./product-answers.ts";

/** A request body with what matters to a test put over a harmless email. */
export function emailRequest(fields: Record<string, unknown> = {}) {
  return { recipients: ["bob@example.test"], subject: "Hello", body: "A few words.", ...fields };
}

/** An instant so many milliseconds from now, as the API takes it. */
export function inMs(ms: number): string {
  return new Date(Date.now() + ms).toISOString();
}

/** Schedules one email, which must be accepted, and returns its id. */
export async function schedule(product: Product, fields: Record<string, unknown> = {}) {
  const answer = await product.api("POST", "/api/v1/schedule-mail", emailRequest(fields));
  expect(answer.text).toContain('"success":true');
  expect(answer.status).toBe(201);
  return answer.body.data.id;
}

/** Schedules emails that differ in their subject, in one request; returns their ids. */
export async function scheduleBatch(
  product: Product,
  subjects: string[],
  fields: Record<string, unknown> = {},
) {
  const emails = subjects.map((subject) => emailRequest({ ...fields, subject }));
  const answer = await product.api<{ index: number; id: string }[]>(
    "POST",
    "/api/v1/schedule-mail/batch",
    { emails, mode: "strict" },
  );
  expect(answer.status).toBe(201);
  return answer.body.data.map(({ id }) => id);
}

/** Follows `/status/{id}` until it says one of these states; throws after the time. */
export async function statusOf(
  product: Product,
  id: string,
  wanted: string[] = ["sent"],
  timeoutMs = 20_000,
): Promise<EmailAnswer> {
  let last: EmailAnswer | null = null;
  await until(
    `${id} becomes ${wanted.join(" or ")}`,
    async () => {
      const answer = await product.api("GET", `/api/v1/status/${id}`);
      last = answer.body.data;
      return answer.status === 200 && wanted.includes(answer.body.data.status);
    },
    timeoutMs,
  ).catch((error: unknown) => {
    throw new Error(`${error}; it is ${JSON.stringify(last)}\n${product.output()}`);
  });
  if (last === null) throw new Error(`no status for ${id}`);
  return last;
}

/** Subject of a message; the tests' subjects are short and ASCII, so one line holds them. */
export function subjectOf({ message }: Pick<Acceptance, "message">): string {
  const head = Buffer.from(message).toString("latin1").split("\r\n\r\n")[0] ?? "";
  return /^subject: *(.*)$/im.exec(head)?.[1] ?? "";
}
