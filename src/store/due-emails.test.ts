import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { drivers, type OpenDatabase } from "../testing/databases.ts";
import { type DirectSql, directSql } from "../testing/direct-sql.ts";
import { newEmail, store } from "../testing/new-email.ts";
import { joinRegion } from "../testing/region-process.ts";
import { createEmails, type Emails } from "./emails.ts";
import type { NewEmail } from "./stored-email.ts";

describe.each(drivers)("due emails on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  let emails: Emails;
  const join = (region: string) => joinRegion(opened.database, region);
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    emails = createEmails(opened.database);
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await opened.close();
  }, 30_000);

  test("are listed, queued or not, longest due first, while nobody has claimed them", async () => {
    const { presence, workerId, attempts } = await join("due");
    const [queued, unqueued, claimed, fresh] = Array.from({ length: 4 }, () =>
      newEmail({ region: "due" }),
    ) as [NewEmail, NewEmail, NewEmail, NewEmail];
    await store(emails, [queued, claimed], { queuedBy: workerId });
    await store(emails, [unqueued, fresh]);
    await sql.query(
      `update mailer.emails set next_attempt_at = next_attempt_at
           - case when id = $2 then interval '9 seconds' else interval '5 seconds' end
       where region = 'due' and id <> $1`,
      [fresh.id, unqueued.id],
    );
    await attempts.claim(claimed.id, 1);
    const due = await presence.listDue({ dueMs: 2_000, limit: 10 });
    expect(due).toEqual([unqueued, queued].map(({ id }) => ({ id, wake: 1, ownerId: "ada" })));
    expect(await presence.listDue({ dueMs: 2_000, limit: 1 })).toHaveLength(1);
  });

  test("given back without an attempt are due since their own time; a retry is not due", async () => {
    const { presence, attempts } = await join("returned");
    const draft = newEmail({ region: "returned" });
    await store(emails, [draft]);
    const oldest = async () => (await presence.standing(10)).oldestDueMs;
    const claim = async (wake: number) => {
      const answer = await attempts.claim(draft.id, wake);
      if (answer.kind !== "claimed") throw new Error(answer.kind);
      return answer.email;
    };
    const giveBack = async (wake: number, reason: string) => {
      const { id, token } = await claim(wake);
      return await attempts.release({ id, token, reason, delayMs: 60_000 });
    };
    const age = () =>
      sql.query(
        `update mailer.emails set next_attempt_at = next_attempt_at - interval '60 seconds',
           returned_until = returned_until - interval '60 seconds',
           due_since = due_since - interval '60 seconds' where region = 'returned'`,
      );
    await age();
    await giveBack(1, "transport_unreachable");
    expect(await oldest()).toBeGreaterThanOrEqual(60_000);
    // Returned again after the wait, and while it is tried: still since its own time.
    await age();
    await giveBack(2, "transport_unreachable");
    expect(await oldest()).toBeGreaterThanOrEqual(120_000);
    await age();
    const { id, token } = await claim(3);
    expect(await oldest()).toBeGreaterThanOrEqual(180_000);
    await attempts.settle({
      id,
      token,
      transport: "capture",
      outcome: "deferred",
      nextState: "pending",
      retryInMs: 60_000,
      smtpCode: 451,
      enhancedCode: null,
      reply: null,
      recipients: [],
    });
    expect(await oldest()).toBe(0);
    // A domain's own back-off is that mail's retry.
    await age();
    await giveBack(4, "destination_backed_off");
    expect(await oldest()).toBe(0);
  });
});
