import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { entryForState } from "../testing/fixtures/entry-for-state.ts";
import {
  adminClaims,
  newEmail,
  scheduleRequest,
  userClaims,
} from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { createChanges } from "./changes.ts";
import { createDeadLetters } from "./dead-letters.ts";
import { createEmails, type Emails } from "./emails.ts";
import type { Quota, ScheduleRequest } from "./stored-email.ts";

setDefaultTimeout(60_000);

const later = new Date("2040-01-01T00:00:00Z");

describe.each(drivers)("quotas on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
  });
  afterAll(() => opened.close());

  const request = (
    ownerId: string,
    count: number,
    quota: Partial<Quota>,
    fields: Partial<ScheduleRequest> = {},
  ) =>
    scheduleRequest(
      Array.from({ length: count }, () => newEmail({ scheduledAt: later })),
      { ownerId, actor: ownerId, quota: { perDay: null, pending: null, ...quota }, ...fields },
    );
  const schedule = async (...args: Parameters<typeof request>) =>
    (await emails.schedule(request(...args))).kind;
  const countOf = async (owner: string) => {
    const { byStatus } = await emails.stats(userClaims(owner));
    return byStatus.pending ?? 0;
  };

  test("of a day's emails no more are accepted, and of a request all or none", async () => {
    expect(await schedule("day", 3, { perDay: 5 })).toBe("accepted");
    const answer = await emails.schedule(request("day", 3, { perDay: 5 }));
    expect(answer).toMatchObject({ kind: "quota_exceeded", quota: "per_day", used: 3 });
    const left = answer.kind === "quota_exceeded" ? answer.resetsInSeconds : null;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(86_400);
    expect(await schedule("day", 2, { perDay: 5 })).toBe("accepted");
    expect(await schedule("day", 1, { perDay: 5 })).toBe("quota_exceeded");
    expect(await schedule("another day", 1, { perDay: 5 })).toBe("accepted");
    expect(await schedule("day", 1, {})).toBe("accepted");
    expect(await countOf("day")).toBe(6);
  });

  test("what is pending counts only while it is", async () => {
    const first = request("wait", 1, { pending: 1 });
    expect((await emails.schedule(first)).kind).toBe("accepted");
    const full = await emails.schedule(request("wait", 1, { pending: 1 }));
    expect(full).toEqual({
      kind: "quota_exceeded",
      quota: "pending",
      used: 1,
      resetsInSeconds: null,
    });
    await emails.cancel(first.emails[0]?.id ?? "", userClaims("wait"), null);
    expect(await schedule("wait", 1, { pending: 1 })).toBe("accepted");
  });

  test("what is held counts as well, so that hold and release are no way around", async () => {
    const first = request("hold", 1, { pending: 1 });
    await emails.schedule(first);
    const target = { id: first.emails[0]?.id ?? "", as: userClaims("hold"), origin: null };
    expect(await createChanges(opened.database).hold(target)).toBe("held");
    expect(await schedule("hold", 1, { pending: 1 })).toBe("quota_exceeded");
    expect(await schedule("hold", 1, { pending: 2 })).toBe("accepted");
  });

  test("a replay waits again, and counts; an admin's for somebody does not", async () => {
    const first = request("again and again", 1, {});
    await emails.schedule(first);
    const id = first.emails[0]?.id ?? "";
    const sql = await directSql(opened.database);
    await sql.query("alter table mailer.emails disable trigger user", []);
    await sql.query("update mailer.emails set state = 'failed', dead_at = now() where id = $1", [
      id,
    ]);
    await sql.query(entryForState, [id]);
    await sql.query("alter table mailer.emails enable trigger user", []);
    await sql.close();
    expect(await schedule("again and again", 1, { pending: 1 })).toBe("accepted");
    const limits = { quotaPending: 1 };
    const chunk = {
      ...{ ids: [id], start: null, first: 0, ratePerMinute: null, scheduledAt: null },
      ...{ bulk: "b", origin: null },
    };
    const dead = createDeadLetters(opened.database, limits);
    const refused = dead.replay(chunk, userClaims("again and again"));
    expect(await rejection(refused)).toMatchObject({ code: "quota_exceeded" });
    expect((await dead.replay(chunk, adminClaims)).replayed).toBe(1);
  });

  test("many at once get no more than there is", async () => {
    const kinds = await Promise.all(
      Array.from({ length: 30 }, () => schedule("many", 1, { perDay: 7, pending: 9 })),
    );
    expect(kinds.filter((kind) => kind === "accepted").length).toBe(7);
    expect(await countOf("many")).toBe(7);
  });

  test("a request that is repeated is answered again, not refused", async () => {
    const idempotency = { path: "/x", key: "k", fingerprint: "f", response: "r" };
    const once = request("again", 1, { perDay: 1 }, { idempotency });
    expect((await emails.schedule(once)).kind).toBe("accepted");
    expect((await emails.schedule(once)).kind).toBe("replayed");
    // One whose answer was lost comes again with the same ids.
    const lost = request("lost", 1, { perDay: 1 });
    expect((await emails.schedule(lost)).kind).toBe("accepted");
    expect((await emails.schedule(lost)).kind).toBe("accepted");
    expect(await countOf("lost")).toBe(1);
  });

  test("a refused request keeps no Idempotency-Key", async () => {
    const idempotency = { path: "/x", key: "k", fingerprint: "f", response: "r" };
    expect(await schedule("keyed", 2, { perDay: 1 }, { idempotency })).toBe("quota_exceeded");
    expect(await schedule("keyed", 1, { perDay: 1 }, { idempotency })).toBe("accepted");
  });
});
