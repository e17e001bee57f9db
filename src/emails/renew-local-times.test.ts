import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import type { Parsed } from "../email/parsed.ts";
import { type ResolvedWallClock, resolveWallClock, type WallClock } from "../email/wall-clock.ts";
import { zoneData } from "../email/zone-data.ts";
import { createAttempts } from "../store/attempts.ts";
import { createJournal } from "../store/journal.ts";
import { createWallClocks } from "../store/wall-clocks.ts";
import { claimedOne } from "../testing/fixtures/claim-one.ts";
import { startTestApi, type TestApi } from "../testing/product/test-api.ts";
import { createLocalTimes } from "./renew-local-times.ts";

setDefaultTimeout(60_000);

const hourMs = 3_600_000;
const berlin = { local_time: "2035-07-01T09:00", timezone: "Europe/Berlin" };
const [icu] = zoneData().version.split("-");
const worker = { workerId: Bun.randomUUIDv7(), region: "local", transport: "smtp.example.net:25" };

let api: TestApi;
let revoked: string[];
beforeAll(async () => {
  api = await startTestApi();
});
beforeEach(async () => {
  revoked = [];
  const body = { scheduled_after: "2000-01-01T00:00:00Z" };
  await api.request("POST", "/api/v1/cancel", { body });
});
afterAll(() => api?.close());

/** A release in whose zone data Berlin is an hour further west than it was. */
function nextRelease(over: { version?: string; resolve?: typeof resolveWallClock } = {}) {
  const { version = "999-00000000", resolve = anHourLater } = over;
  return createLocalTimes({
    wallClocks: createWallClocks(api.database),
    revoking:
      (ids) =>
      (moved = ids) =>
        void revoked.push(...moved),
    log: api.deps.log,
    version: () => version,
    resolve: (wish) => withVersion(resolve(wish), version),
  });
}

function withVersion(resolved: Parsed<ResolvedWallClock>, version: string) {
  return "value" in resolved ? { value: { ...resolved.value, zoneData: version } } : resolved;
}

function anHourLater(wish: WallClock): Parsed<ResolvedWallClock> {
  const resolved = resolveWallClock(wish);
  if (!("value" in resolved) || wish.timezone !== "Europe/Berlin") return resolved;
  const { scheduledAt } = resolved.value;
  const later = new Date(scheduledAt.getTime() + hourMs);
  return { value: { ...resolved.value, scheduledAt: later, utcOffset: "+01:00" } };
}

const read = async (id: string) => (await api.request("GET", `/api/v1/emails/${id}`)).json.data;

async function lastEntry(id: string) {
  const { json } = await api.request("GET", `/api/v1/emails/${id}/events`);
  const events = json.data as unknown as { type: string; data: Record<string, unknown> }[];
  return events.at(-1);
}

describe("other zone data", () => {
  test("reschedule what waits for a local time whose instant they change", async () => {
    const id = await api.schedule({ ...berlin, max_lateness: 60 });
    const fixed = await api.schedule({ scheduled_at: "2035-07-01T07:00:00Z" });
    const lisbon = await api.schedule({ ...berlin, timezone: "Europe/Lisbon" });
    expect(await nextRelease().renew()).toEqual({ looked: 2, moved: 1, kept: 0 });
    expect(revoked).toEqual([id]);
    expect(await read(id)).toMatchObject({
      ...berlin,
      scheduled_at: "2035-07-01T08:00:00.000Z",
      next_attempt_at: "2035-07-01T08:00:00.000Z",
      expires_at: "2035-07-01T08:01:00.000Z",
      utc_offset: "+01:00",
      version: 2,
    });
    expect(await read(fixed)).toMatchObject({
      scheduled_at: "2035-07-01T07:00:00.000Z",
      version: 1,
    });
    expect(await read(lisbon)).toMatchObject({
      scheduled_at: "2035-07-01T08:00:00.000Z",
      version: 1,
    });
    // The same data again, and those of the release before, find nothing to do.
    expect(await nextRelease().renew()).toMatchObject({ looked: 0, moved: 0 });
    expect(await nextRelease({ version: "1-00000000" }).renew()).toMatchObject({ looked: 0 });
  });

  test("say so in the journal, with the reason, and to webhooks", async () => {
    const id = await api.schedule(berlin);
    await nextRelease({ version: "999.1-00000000" }).renew();
    const path = `/api/v1/audit?email_id=${id}&action=email.rescheduled`;
    const entries = async () => (await api.request("GET", path)).json.data as unknown as object[];
    await seal();
    expect(await entries()).toEqual([
      expect.objectContaining({
        actor: "taskforce-mailer:reconciler",
        detail: {
          status: "pending",
          reason: "zone_data",
          zone_data: "999.1-00000000",
          fields: ["scheduled_at"],
          was: expect.stringMatching(/^2035-07-01T07:00:00/),
          scheduled_at: expect.stringMatching(/^2035-07-01T08:00:00/),
          version: 2,
        },
      }),
    ]);
    expect(await lastEntry(id)).toMatchObject({
      type: "email.rescheduled",
      data: { email_id: id, sequence: 2, status: "pending" },
    });
  });

  test("of the same ICU count at the start alone, so that two releases move nothing to and fro", async () => {
    const id = await api.schedule(berlin);
    const later = `${icu}-00000000`;
    const release = nextRelease({ version: later, resolve: resolveWallClock });
    expect(await release.renew()).toMatchObject({ looked: 1, moved: 0 });
    const behind = await api.schedule(berlin);
    const moving = nextRelease({ version: later });
    expect(await release.renew()).toMatchObject({ looked: 0 });
    expect(await moving.renew()).toEqual({ looked: 1, moved: 1, kept: 0 });
    expect([(await read(id)).version, (await read(behind)).version]).toEqual([1, 2]);
  });
});

describe("left at its instant", () => {
  test("what somebody gave another time, and what an edit ends", async () => {
    const id = await api.schedule(berlin);
    const body = { scheduled_at: "2035-07-05T07:00:00Z" };
    await api.request("PATCH", `/api/v1/emails/${id}`, { body });
    expect(await nextRelease({ version: "999.2-0" }).renew()).toEqual({
      looked: 1,
      moved: 0,
      kept: 0,
    });
    expect(await read(id)).toMatchObject({ scheduled_at: "2035-07-05T07:00:00.000Z", version: 2 });
  });

  test("what would be due after its fixed end, and what dst rejects by now, with a warning", async () => {
    const ends = await api.schedule({ ...berlin, expires_at: "2035-07-01T07:30:00Z" });
    const rejected = await api.schedule({ ...berlin, timezone: "Asia/Tokyo" });
    const resolve = (wish: WallClock) =>
      wish.timezone === "Asia/Tokyo" ? { fault: "skipped" } : anHourLater(wish);
    expect(await nextRelease({ version: "999.3-0", resolve }).renew()).toMatchObject({
      moved: 0,
      kept: 2,
    });
    for (const id of [ends, rejected]) {
      expect((await read(id)).version).toBe(1);
      const warned = api.lines.filter(({ level, email_id }) => level === "warn" && email_id === id);
      expect(warned.length).toBe(1);
    }
    expect(await nextRelease({ version: "999.3-0", resolve }).renew()).toMatchObject({ looked: 0 });
  });

  test("what has been sent, is cancelled, or came due", async () => {
    const sent = await api.schedule(berlin);
    await api.request("POST", `/api/v1/emails/${sent}/send-now`);
    await api.deliver(sent);
    const cancelled = await api.schedule(berlin);
    await api.request("DELETE", `/api/v1/cancel/${cancelled}`);
    expect(await nextRelease({ version: "999.4-0" }).renew()).toMatchObject({ looked: 0 });
    expect((await read(cancelled)).version).toBe(2);
  });
});

test("a held email keeps its local time too", async () => {
  const id = await api.schedule(berlin);
  await api.request("POST", `/api/v1/emails/${id}/hold`);
  await nextRelease({ version: "999.5-0" }).renew();
  expect(await read(id)).toMatchObject({
    status: "held",
    scheduled_at: "2035-07-01T08:00:00.000Z",
    version: 3,
  });
});

describe("an email that a worker has claimed", () => {
  test("is revoked before the fence: the worker's token is stale", async () => {
    const attempts = createAttempts(api.database, worker);
    const id = await api.schedule(berlin);
    const aheadMs = Date.parse("2035-07-01T07:00:00Z") - Date.now() + 60_000;
    const { token } = await claimedOne(api.database, attempts, id, { aheadMs });
    expect(await nextRelease({ version: "999.6-0" }).renew()).toMatchObject({ moved: 1 });
    expect(revoked).toEqual([id]);
    expect(await attempts.fence(id, token, new Date())).toMatchObject({ reason: "stale" });
    expect(await read(id)).toMatchObject({ status: "pending", version: 2 });
  });

  test("stays as it is behind the fence", async () => {
    const attempts = createAttempts(api.database, worker);
    const local = Temporal.Now.zonedDateTimeISO("Europe/Berlin").subtract({ seconds: 2 });
    const local_time = local.toPlainDateTime().toString({ smallestUnit: "second" });
    const id = await api.schedule({ ...berlin, local_time });
    const { token } = await claimedOne(api.database, attempts, id);
    expect(await attempts.fence(id, token, new Date())).toMatchObject({ granted: true });
    expect(await nextRelease({ version: "999.7-0" }).renew()).toMatchObject({ looked: 0 });
    expect(await read(id)).toMatchObject({ status: "sending", version: 1 });
  });
});

/** Entries are told of once they are sealed, and this API has no sealer of its own. */
async function seal(): Promise<void> {
  const journal = createJournal(api.database);
  while ((await journal.seal(1_000)).hasMore);
}
