import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { type Product, runProduct, startProduct } from "../testing/product/product.ts";
import { until } from "../testing/servers/child-server.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";

setDefaultTimeout(120_000);

const products: Product[] = [];
afterAll(() => Promise.all(products.map((product) => product.kill())));

/** What an earlier release would have stored, whose zone data had Berlin an hour further east. */
const asEarlierRelease = `update mailer.emails set
  scheduled_at = scheduled_at - interval '1 hour',
  next_attempt_at = next_attempt_at - interval '1 hour',
  age_from = age_from - interval '1 hour',
  wall_clock = wall_clock || jsonb_build_object('zone_data', '70.1-00000000', 'utc_offset', '+03:00',
    'scheduled_at', (wall_clock ->> 'scheduled_at')::timestamptz - interval '1 hour')
  where wall_clock is not null`;

test("a release with other zone data gives waiting emails their local time back when it starts", async () => {
  const { url } = await freshDatabase();
  const env = {
    DATABASE_URL: url,
    JWT_SECRET: "a-secret-only-these-tests-know",
    ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
    TRANSPORT: "capture",
  };
  const earlier = await startProduct({ env });
  products.push(earlier);
  const wish = { local_time: "2035-07-01T09:00", timezone: "Europe/Berlin" };
  const body = { recipients: ["ada@example.com"], subject: "Standup", body: "At nine.", ...wish };
  const scheduled = await earlier.api<{ id: string }>("POST", "/api/v1/schedule-mail", body);
  const { id } = scheduled.body.data;
  await earlier.stop();
  await runOnce(url, asEarlierRelease);

  const doctor = await runProduct(["doctor", "--json"], { env });
  expect(doctor.output).toContain("emails wait for local times that 70.1-00000000 resolved");

  const product = await startProduct({ env });
  products.push(product);
  const status = async () =>
    (await product.api<Record<string, unknown>>("GET", `/api/v1/status/${id}`)).body.data;
  await until("the email was rescheduled", async () => (await status()).version === 2);
  expect(await status()).toMatchObject({
    ...wish,
    ...{ status: "pending", scheduled_at: "2035-07-01T07:00:00.000Z", utc_offset: "+02:00" },
    next_attempt_at: "2035-07-01T07:00:00.000Z",
  });
  await until("the journal tells of it", async () => {
    const { body: page } = await product.api<object[]>(
      "GET",
      `/api/v1/audit?email_id=${id}&action=email.rescheduled`,
    );
    return JSON.stringify(page.data).includes('"reason":"zone_data"');
  });
  const healed = await runProduct(["doctor", "--json"], { env });
  expect(healed.output).toMatch(/are of ICU \S+, and so is every local time/);
});
