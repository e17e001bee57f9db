import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { emailSchema } from "../http/request/email-schema.ts";
import { characterClasses, longTexts } from "../testing/fixtures/long-texts.ts";
import { type Product, startProduct } from "../testing/product/product.ts";

setDefaultTimeout(120_000);

const bytes = 1_000_000;
/** Of two megabytes: more at once would measure the parser of JSON. */
const fieldsAtOnce = 2;
const answeredWithinMs = 1_000;
/** On a connection of its own, while the request above is worked on. */
const liveWithinMs = 500;

let product: Product;
let token: string;
beforeAll(async () => {
  product = await startProduct();
  token = await product.token("ada");
});
afterAll(() => product?.kill());

/** The slowest answer of `/health/live` while something is going on. */
async function slowestLive(during: Promise<unknown>): Promise<number> {
  let isOver = false;
  const over = during.finally(() => {
    isOver = true;
  });
  let slowestMs = 0;
  while (!isOver) {
    const startedAt = performance.now();
    await (await fetch(`${product.url}/health/live`)).text();
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
  }
  await over;
  return slowestMs;
}

/** The fields of an email in groups, each with a megabyte of text where one belongs. */
function bodiesOf(text: string): string[] {
  const lists = ["recipients", "cc", "bcc", "tags", "attachments"];
  const fields = Object.keys(emailSchema.shape).map((name) => [
    name,
    lists.includes(name) ? [text] : text,
  ]);
  return Array.from({ length: Math.ceil(fields.length / fieldsAtOnce) }, (_, group) => {
    const some = fields.slice(group * fieldsAtOnce, (group + 1) * fieldsAtOnce);
    return JSON.stringify(Object.fromEntries(some));
  });
}

test.each(["spaces", "angle brackets", "dots", "encoded words", "emoji"])(
  "a megabyte of %s in every field holds up nobody",
  async (name) => {
    const text = longTexts(characterClasses[name] ?? "", bytes)[1] ?? "";
    for (const body of bodiesOf(text)) {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      let seen = { status: 0, isSoon: false, isLive: false };
      // A machine that does something else holds one try up; what grows with the square, all three.
      for (let tries = 0; tries < 3 && !(seen.isSoon && seen.isLive); tries++) {
        const startedAt = performance.now();
        const path = `${product.url}/api/v1/schedule-mail`;
        const answered = fetch(path, { method: "POST", headers, body }).then(async (res) => {
          await res.text();
          return { status: res.status, isSoon: performance.now() - startedAt < answeredWithinMs };
        });
        const isLive = (await slowestLive(answered)) < liveWithinMs;
        seen = { ...(await answered), isLive };
      }
      expect(seen).toEqual({ status: 422, isSoon: true, isLive: true });
    }
  },
);

test("a megabyte in an address, a parameter or a header is refused before it is read", async () => {
  for (const size of [12_000, bytes]) {
    const headers = { authorization: `Bearer ${token}`, "x-long": "a".repeat(size) };
    const search = `recipient=a%3Ca${"+".repeat(size)}a`;
    const startedAt = performance.now();
    const answered = fetch(`${product.url}/api/v1/scheduled-emails?${search}`, { headers }).then(
      ({ status }) => status,
      // Bun hangs up on more headers than it takes.
      () => 431,
    );
    const liveMs = await slowestLive(answered);
    expect([414, 422, 431]).toContain(await answered);
    expect([performance.now() - startedAt < answeredWithinMs, liveMs < liveWithinMs]).toEqual([
      true,
      true,
    ]);
  }
});
