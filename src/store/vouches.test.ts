import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { claimedOne, claimOne } from "../testing/fixtures/claim-one.ts";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { createToldLooks } from "../testing/fixtures/told-looks.ts";
import { joinRegion } from "../testing/product/region-process.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { failOver, setTimeline } from "../testing/servers/fail-over.ts";
import { type Settlement, settlementJson } from "./attempts.ts";
import { createEmails, type Emails } from "./emails.ts";
import { createVouches } from "./vouches.ts";

const messageDate = new Date("2026-11-24T03:00:00Z");
const looks = createToldLooks();

describe.each(drivers)("vouching on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  let sql: DirectSql;
  let timelines = 0;
  let timeline = "";
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
    sql = await directSql(opened.database);
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await opened.close();
  });
  beforeEach(async () => {
    await sql.query("delete from mailer.workers");
    timeline = nextTimeline();
    await setTimeline(sql, timeline);
  });

  function nextTimeline(): string {
    timelines += 1;
    return String(timelines).padStart(8, "0");
  }

  /** A worker that says under which timeline it has vouched; null: it has nothing to vouch for. */
  async function worker(region = "local") {
    const vouching = { timeline: null as string | null, heard: () => {} };
    const joined = await joinRegion(opened.database, region, { looks, vouching });
    vouching.timeline = timeline;
    const claimant = { workerId: joined.workerId, region, transport: "sink" };
    return { ...joined, vouching, vouches: createVouches(opened.database, claimant) };
  }

  /** The two seconds in which workers are heard of that a standby never knew. */
  const passGrace = () =>
    sql.query("update mailer.timelines set since = since - interval '3 seconds'");

  async function scheduled(fields = {}): Promise<string> {
    const draft = newEmail(fields);
    await store(emails, [draft]);
    return draft.id;
  }

  const sent = ({ id, token }: { id: string; token: number }): Settlement => ({
    ...{ id, token, transport: "sink", outcome: "sent", nextState: "sent", retryInMs: null },
    ...{ smtpCode: 250, enhancedCode: null, reply: null },
    recipients: [{ position: 0, status: "sent", smtpCode: 250, enhancedCode: null, reply: null }],
  });
  const vouched = (claim: { id: string; token: number }) => ({
    ...{ id: claim.id, token: claim.token, messageDate },
    settlement: settlementJson(sent(claim)),
  });
  const entriesOf = async (id: string) => {
    const rows = await sql.query(
      "select action, sequence, detail from mailer.journal where email_id = $1 order by id",
      [id],
    );
    return rows.map(({ action, sequence, detail }) => {
      const { reason = null } = detail as { reason?: string };
      return [action, sequence, reason];
    });
  };

  test("what was claimed, fenced and sent and then lost is sent once more in the books alone", async () => {
    const { attempts, vouches } = await worker();
    const id = await scheduled();
    let token = 0;
    await failOver(sql, nextTimeline(), async () => {
      ({ token } = await claimedOne(opened.database, attempts, id));
      await attempts.fence(id, token, messageDate);
      await attempts.settle(sent({ id, token }));
    });
    expect((await emails.get(id, adminClaims))?.status).toBe("pending");
    const answers = await vouches.write([vouched({ id, token })]);
    expect(answers).toMatchObject([
      { isAgain: true, isThere: true, settled: { applied: true, state: "sent" } },
    ]);
    expect(await emails.get(id, adminClaims)).toMatchObject({
      ...{ status: "sent", attempts: [{ number: 1, outcome: "sent" }] },
      recipients: [{ status: "sent" }],
    });
    expect(await entriesOf(id)).toEqual([
      ["email.scheduled", 1, null],
      ["email.sending", 2, "failover"],
      ["email.sent", 3, null],
    ]);
    // Once more changes nothing.
    expect(await vouches.write([vouched({ id, token })])).toMatchObject([
      { isAgain: false, isThere: true, settled: { applied: false, state: "sent" } },
    ]);
    expect(await entriesOf(id)).toHaveLength(3);
  });

  test("a claim that is there without its fence is fenced and ended; one without its end is ended", async () => {
    const { attempts, vouches } = await worker();
    const [first, second] = [await scheduled(), await scheduled()];
    const claims = [
      await claimedOne(opened.database, attempts, first),
      await claimedOne(opened.database, attempts, second),
    ];
    await attempts.fence(second, claims[1]?.token ?? 0, messageDate);
    const answers = await vouches.write(claims.map(vouched));
    expect(answers.map(({ isAgain, settled }) => [isAgain, settled?.applied])).toEqual([
      [true, true],
      [false, true],
    ]);
  });

  test("one whose reply is awaited is fenced, so that nobody else claims it", async () => {
    const { attempts, vouches } = await worker();
    const id = await scheduled();
    let token = 0;
    await failOver(sql, nextTimeline(), async () => {
      ({ token } = await claimedOne(opened.database, attempts, id));
      await attempts.fence(id, token, messageDate);
    });
    expect(await vouches.write([{ id, token, messageDate, settlement: null }])).toEqual([
      { isAgain: true, isThere: true, settled: null },
    ]);
    expect(await claimOne(opened.database, attempts, id)).toBeNull();
    expect(await attempts.settle(sent({ id, token }))).toMatchObject({ applied: true });
  });

  test("answers are in the order of what was asked, also of what is not there", async () => {
    const { attempts, vouches } = await worker();
    const ids = [await scheduled(), await scheduled()];
    const [one, two] = [
      await claimedOne(opened.database, attempts, ids[0] ?? ""),
      await claimedOne(opened.database, attempts, ids[1] ?? ""),
    ];
    const lost = { id: Bun.randomUUIDv7(), token: 1 };
    const awaited = { id: two.id, token: two.token, messageDate, settlement: null };
    expect(await vouches.write([vouched(lost), awaited, vouched(one)])).toMatchObject([
      { isAgain: false, isThere: false, settled: { applied: false } },
      { isAgain: true, isThere: true, settled: null },
      { isAgain: true, isThere: true, settled: { applied: true, state: "sent" } },
    ]);
  });

  test("what a caller cancelled meanwhile stays so, and the entry says that it was sent", async () => {
    const { attempts, vouches } = await worker();
    const id = await scheduled();
    let token = 0;
    await failOver(sql, nextTimeline(), async () => {
      ({ token } = await claimedOne(opened.database, attempts, id));
    });
    await emails.cancel(id, adminClaims, null);
    expect(await vouches.write([vouched({ id, token })])).toMatchObject([
      { isAgain: false, settled: { applied: false, state: "cancelled" } },
    ]);
    expect(await entriesOf(id)).toContainEqual(["attempt.stale", null, null]);
  });

  describe("after a failover nothing is claimed", () => {
    test("by who has not heard of it", async () => {
      const { attempts } = await worker();
      const id = await scheduled();
      await setTimeline(sql, nextTimeline());
      const claim = (asked: string) =>
        claimOne(
          opened.database,
          { claimDue: (request) => attempts.claimDue({ ...request, timeline: asked }) },
          id,
        );
      await sql.query("delete from mailer.workers");
      expect(await claim(timeline)).toBeNull();
      expect(await claim(String(timelines).padStart(8, "0"))).toMatchObject({ id });
    });

    test("until all have vouched who lived, and those that a standby never knew could", async () => {
      const [mine, others] = [await worker(), await worker()];
      const id = await scheduled();
      const next = nextTimeline();
      await setTimeline(sql, next);
      const claim = () =>
        claimOne(
          opened.database,
          { claimDue: (request) => mine.attempts.claimDue({ ...request, timeline: next }) },
          id,
        );
      expect((await mine.presence.beat()).timeline).toBe(next);
      mine.vouching.timeline = next;
      await mine.presence.beat();
      await passGrace();
      expect(await claim()).toBeNull();
      others.vouching.timeline = next;
      await others.presence.beat();
      await sql.query("update mailer.timelines set since = clock_timestamp() where timeline = $1", [
        next,
      ]);
      expect(await claim()).toBeNull();
      await passGrace();
      expect(await claim()).toMatchObject({ id });
    });
  });

  test("what a dead worker may have sent is held, or sent with an entry that says so", async () => {
    const [mine, dead] = [await worker(), await worker()];
    const [retried, held, later] = [
      await scheduled(),
      await scheduled({ onUncertain: "hold" }),
      await scheduled({ onUncertain: "hold", scheduledAt: new Date(Date.now() + 60_000) }),
    ];
    const next = nextTimeline();
    await setTimeline(sql, next);
    mine.vouching.timeline = next;
    await mine.presence.beat();
    const [row] = await sql.query("select beats from mailer.workers where id = $1", [
      dead.workerId,
    ]);
    looks.tell({ id: dead.workerId, beats: Number(row?.beats) });
    await mine.presence.takeOver({ everything: false });
    await passGrace();
    const asked = { limit: 10, perOwner: 10, holds: {}, after: "", suspects: true };
    const batch = await mine.attempts.claimDue({
      ...{ ...asked, region: "local", aheadMs: 120_000, timeline: next },
    });
    const claimed = batch.emails.map(({ id }) => id);
    expect(claimed).toContain(retried);
    expect(claimed).toContain(later);
    expect(claimed).not.toContain(held);
    expect((await emails.get(held, adminClaims))?.status).toBe("held");
    expect(await entriesOf(held)).toEqual([
      ["email.scheduled", 1, null],
      ["email.held", 2, "failover"],
    ]);
    expect(await entriesOf(retried)).toEqual([
      ["email.scheduled", 1, null],
      ["attempt.unvouched", null, "failover"],
    ]);
    expect(await entriesOf(later)).toEqual([["email.scheduled", 1, null]]);
  });
});
