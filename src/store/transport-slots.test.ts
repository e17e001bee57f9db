import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { partClaims } from "./database.ts";
import { createTransportSlots } from "./transport-slots.ts";

for (const { driver, open } of drivers) {
  describe(`slots of a transport over ${driver}`, () => {
    let opened: OpenDatabase;
    beforeAll(async () => {
      opened = await open();
    }, 60_000);
    afterAll(() => opened?.close());

    const slotsFor = (transport: string, ratePerSecond: number, holder = "one") => {
      const options = { region: "local", transport, ratePerSecond, holder };
      const slots = createTransportSlots(opened.database, options);
      return { reserve: async () => (await slots.reserve()).waitMs };
    };

    test("are spaced evenly, also between processes that share the name", async () => {
      const startedAt = performance.now();
      const [one, two] = [slotsFor("shared:25", 2), slotsFor("shared:25", 2, "two")];
      // One after the other, so that the order of the answers is known.
      const firsts = await Promise.all([one.reserve(), one.reserve(), one.reserve()]);
      const next = await two.reserve();
      expect(firsts[0]).toBe(0);
      const passed = performance.now() - startedAt;
      for (const [index, wait] of [...firsts, next].entries()) {
        // Half a second after the one before it, less what passed until it was asked for.
        expect(wait).toBeLessThanOrEqual(index * 500);
        expect(wait + passed).toBeGreaterThanOrEqual(index * 500);
      }
    });

    test("are further apart once a second process takes some", async () => {
      const rates = { ratePerSecond: 2, sharedRatePerSecond: 1 };
      const [one, two] = ["one", "two"].map((holder) =>
        createTransportSlots(opened.database, {
          region: "local",
          transport: "crowded:25",
          ...rates,
          holder,
        }),
      );
      expect(await one?.reserve()).toEqual({ waitMs: 0, isShared: false });
      const startedAt = performance.now();
      expect((await one?.reserve())?.isShared).toBe(false);
      expect((await two?.reserve())?.isShared).toBe(true);
      const last = await one?.reserve();
      expect(last?.isShared).toBe(true);
      // Two of half a second and one of a whole one, less what passed since the first.
      expect((last?.waitMs ?? 0) + performance.now() - startedAt).toBeGreaterThan(1_500);
    });

    test("of another transport are not touched", async () => {
      await Promise.all(Array.from({ length: 5 }, () => slotsFor("busy:25", 1).reserve()));
      expect(await slotsFor("idle:25", 1).reserve()).toBe(0);
    });

    test("a fraction of a message a second is a long gap", async () => {
      const slots = slotsFor("slow:25", 0.05);
      expect(await slots.reserve()).toBe(0);
      expect(await slots.reserve()).toBeWithin(10_000, 20_001);
    });

    test("are never closer than the gap by the database's clock, whoever asks", async () => {
      const startedAt = performance.now();
      const ask = async (count: number) => {
        const rates = { rate_per_second: 2, shared_rate_per_second: 2 };
        const args = { transport: "crowd:25", ...rates, count, holder: "test" };
        const answer = await opened.database.rpc("reserve_slots", args, partClaims("worker"));
        return (answer as { wait_ms: number[] }).wait_ms;
      };
      await Promise.all([3, 1, 5, 2, 4, 1, 1, 3].map((count) => ask(count)));
      const [last = 0] = await ask(1);
      // Twenty slots of half a second went before it, the first of them not before we began.
      expect(last + performance.now() - startedAt).toBeGreaterThanOrEqual(10_000);
      expect(last).toBeLessThanOrEqual(10_000);
    });

    test("of a clock that was an hour ahead are forgotten", async () => {
      const slots = slotsFor("clock:25", 1);
      await slots.reserve();
      const sql = await directSql(opened.database);
      await sql.query(
        "update mailer.transports set next_slot_at = now() + interval '2 hours' where name = $1",
        ["clock:25"],
      );
      await sql.close();
      expect(await slots.reserve()).toBe(0);
    });
  });
}
