import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { AppError } from "../errors.ts";
import { createLogger } from "../log.ts";
import { createFailPoints } from "../runtime/fail-points.ts";
import type { Database } from "../store/database.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { createDelivery, type Delivery } from "../testing/product/delivery.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";
import { createBreaker } from "./limits/breaker.ts";
import { noRateLimit } from "./limits/rate-limit.ts";

/** What becomes of an attempt that is over, when it cannot be written or not even be judged. */
describe("deliverOne, after the attempt", () => {
  let database: Database;
  let sink: SmtpSink;
  let delivery: Delivery;
  beforeAll(async () => {
    database = createPostgresDatabase({ url: (await freshDatabase()).url });
  }, 60_000);
  afterAll(() => database.close());
  beforeEach(async () => {
    sink = await createSmtpSink();
    delivery = createDelivery(database, { sink });
  });
  afterEach(async () => {
    await delivery.close();
    await sink.close();
  });

  test("a reply survives a database that is gone for a while", async () => {
    const { attempts } = delivery.deps;
    let failures = 0;
    delivery.deps.attempts = {
      ...attempts,
      async settle(settlement) {
        failures += 1;
        if (failures <= 2) throw new AppError("database_unavailable", { publicDetail: "gone" });
        return attempts.settle(settlement);
      },
    };
    const id = await delivery.accept();
    expect(await delivery.run(id)).toEqual({ kind: "repeating" });
    await delivery.deps.settling.idle();
    expect(await delivery.read(id)).toMatchObject({ status: "sent" });
    expect(failures).toBe(3);
  });

  test("a settle that repeats holds no permit and no claim of the rate limit", async () => {
    const { attempts } = delivery.deps;
    let isRefusing = true;
    delivery.deps.attempts = {
      ...attempts,
      async settle(settlement) {
        if (isRefusing) throw new AppError("internal_error", { publicDetail: "refused" });
        return attempts.settle(settlement);
      },
    };
    const log = createLogger({ level: "silent" });
    const one = { concurrencyMax: 1, minuteMs: 1, transport: "t", hasOthers: () => false, log };
    delivery.deps.breaker = createBreaker(one);
    let admitted = 0;
    delivery.deps.rateLimit = {
      ...noRateLimit,
      tryAdmit() {
        const admission = noRateLimit.tryAdmit();
        if (!admission) return null;
        admitted += 1;
        let hasEnded = false;
        const end = () => {
          if (!hasEnded) admitted -= 1;
          hasEnded = true;
        };
        return { ...admission, end };
      },
    };
    const ids = [await delivery.accept(), await delivery.accept()];
    for (const id of ids) expect(await delivery.run(id)).toEqual({ kind: "repeating" });
    expect([sink.acceptances.length, admitted]).toEqual([2, 0]);
    expect([delivery.deps.settling.repeating, delivery.deps.claimsInMemory.count]).toEqual([2, 2]);
    isRefusing = false;
    await delivery.deps.settling.idle();
    for (const id of ids) expect((await delivery.read(id)).status).toBe("sent");
    expect(delivery.deps.claimsInMemory.count).toBe(0);
  });

  test("an error of ours after the fence is an uncertain attempt, never one that sent nothing", async () => {
    delivery.deps.destinations = {
      ...delivery.deps.destinations,
      succeed() {
        throw new TypeError("undefined is not a function");
      },
    };
    const id = await delivery.accept({ onUncertain: "hold" });
    expect(await delivery.run(id)).toMatchObject({ state: "uncertain", outcome: "uncertain" });
    expect(sink.acceptances.length).toBe(1);
  });

  test("a claim that is forgotten is held no longer", async () => {
    const id = await delivery.accept();
    delivery.deps.failPoints = createFailPoints("begin.before=throw@1", () => {});
    expect(await delivery.run(id)).toEqual({ kind: "failed" });
    expect(delivery.deps.claimsInMemory.count).toBe(0);
    expect(sink.acceptances.length).toBe(0);
    // For readers it waits; for claims it is taken, until the self-audit finds it.
    expect((await delivery.read(id)).status).toBe("pending");
    expect(await delivery.run(id)).toEqual({ kind: "not_claimed" });
  });
});
