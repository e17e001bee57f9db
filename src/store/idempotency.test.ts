import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { newEmail, scheduleRequest, userClaims } from "../testing/fixtures/new-email.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";
import { createEmails, type Emails } from "./emails.ts";
import { createPostgresDatabase, type PostgresDatabase } from "./postgres-database.ts";
import { createPresence, type Presence } from "./presence.ts";

let url: string;
let database: PostgresDatabase;
let emails: Emails;
let presence: Presence;
beforeAll(async () => {
  ({ url } = await freshDatabase());
  database = createPostgresDatabase({ url });
  emails = createEmails(database);
  presence = createPresence(database, {
    workerId: Bun.randomUUIDv7(),
    region: "local",
    role: "all",
    replyTimeoutMs: 1_000,
    deadAfterMs: 5_000,
  });
}, 60_000);
afterAll(() => database?.close());

const keyOf = (key: string) => ({ path: "/p", key, fingerprint: "f", response: "kept" });
const nextYear = () => new Date(Date.now() + 365 * 86_400_000);

/** One request with a key, as if it had come so long ago. */
async function requestedAgo(key: string, hours: number, scheduledAt: Date | null = null) {
  const draft = newEmail({ scheduledAt });
  await emails.schedule(scheduleRequest([draft], { idempotency: keyOf(key) }));
  await age("idempotency_keys", "created_at", `key = '${key}'`, hours);
  return draft.id;
}
/** Moves an instant of our own tables into the past. */
async function age(table: string, column: string, where: string, hours: number) {
  const earlier = `${column} = ${column} - interval '${hours} hours'`;
  const triggers = (state: string) => `alter table mailer.${table} ${state} trigger user`;
  await runOnce(
    url,
    `${triggers("disable")}; update mailer.${table} set ${earlier} where ${where};
    ${triggers("enable")}`,
  );
}
async function repeated(key: string) {
  const request = scheduleRequest([newEmail()], { idempotency: keyOf(key) });
  return (await emails.schedule(request)).kind;
}
async function found(key: string) {
  const { response: _, ...claim } = keyOf(key);
  return (await emails.findIdempotent("ada", claim))?.kind ?? "new";
}

describe("an Idempotency-Key whose email has not ended", () => {
  test("answers however long ago the request was, also once its time was looked at", async () => {
    await requestedAgo("next-year", 24 * 40, nextYear());
    for (let looks = 0; looks < 2; looks++) {
      expect([await found("next-year"), await repeated("next-year")]).toEqual([
        "replayed",
        "replayed",
      ]);
      await presence.forgetIdempotent();
    }
  });
});

describe("an Idempotency-Key whose email has ended", () => {
  test("answers for a day after that, not a day after the request", async () => {
    const id = await requestedAgo("cancelled", 24 * 40, nextYear());
    await emails.cancel(id, userClaims("ada"), null);
    await presence.forgetIdempotent();
    expect(await found("cancelled")).toBe("replayed");
    await age("journal", "at", `email_id = '${id}'`, 25);
    await age("idempotency_keys", "kept_until", "key = 'cancelled'", 25);
    expect(await found("cancelled")).toBe("new");
    expect(await repeated("cancelled")).toBe("accepted");
  });

  test("is dropped then", async () => {
    const id = await requestedAgo("over", 24 * 40, nextYear());
    await emails.cancel(id, userClaims("ada"), null);
    await age("journal", "at", `email_id = '${id}'`, 25);
    await presence.forgetIdempotent();
    expect(await runOnce(url, "select from mailer.idempotency_keys where key = 'over'")).toEqual(
      [],
    );
  });
});

test("keys are forgotten as many as there are, not one batch in ten minutes", async () => {
  await runOnce(
    url,
    `insert into mailer.idempotency_keys (owner_id, path, key, created_at, fingerprint, response)
     select 'ada', '/bulk', n::text, now() - interval '2 days', 'f', 'r'
     from generate_series(1, 6000) n`,
  );
  await presence.forgetIdempotent();
  expect(await runOnce(url, "select from mailer.idempotency_keys where path = '/bulk'")).toEqual(
    [],
  );
});
