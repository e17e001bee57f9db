import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { drivers, type OpenDatabase } from "../testing/databases.ts";
import { newEmail, scheduleRequest, userClaims } from "../testing/new-email.ts";
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
