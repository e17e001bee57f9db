import { expect, test } from "bun:test";
import { Webhook as SvixWebhook } from "svix";
import { createSecret, createSigner, signedHeaders } from "./sign.ts";

/** The vectors of the specification's own libraries: JavaScript's `sign function works`, Rust's `test_sign`. */
const vectors = [
  {
    ...{ secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id: "msg_p5jXN8AQM9LWM0D4loKWxJek" },
    ...{ seconds: 1_614_265_330, body: '{"test": 2432232314}' },
    signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  },
  {
    ...{ secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk" },
    ...{ seconds: 1_649_367_553, body: '{"email":"test@example.com","username":"test_user"}' },
    signature: "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
  },
];

test.each(vectors)("the specification's vector $id is signed as it says", (vector) => {
  const { secret, id, seconds, body, signature } = vector;
  // Within the second: the header has whole ones.
  const at = new Date(seconds * 1_000 + 999);
  expect(signedHeaders(createSigner([secret]), { id, at, body })).toEqual({
    "webhook-id": id,
    "webhook-timestamp": String(seconds),
    "webhook-signature": signature,
  });
});

test("two secrets sign one after the other, the current one first, and each verifies alone", () => {
  const [current, former] = [createSecret(), createSecret()];
  const signed = { id: "msg_1", at: new Date(), body: '{"ä":"€"}' };
  const headers = signedHeaders(createSigner([current, former]), signed);
  const [first, second, ...more] = (headers["webhook-signature"] ?? "").split(" ");
  const alone = (secret: string) => createSigner([secret])(signed.id, signed.at, signed.body);
  expect([first, second, more]).toEqual([alone(current), alone(former), []]);
  for (const secret of [current, former]) new SvixWebhook(secret).verify(signed.body, headers);
  const stranger = new SvixWebhook(createSecret());
  expect(() => stranger.verify(signed.body, headers)).toThrow("No matching signature");
  expect(() => new SvixWebhook(current).verify(`${signed.body} `, headers)).toThrow();
});

test("a new secret has the 32 bytes that it promises, and is another each time", () => {
  const secrets = Array.from({ length: 50 }, createSecret);
  expect(new Set(secrets).size).toBe(50);
  for (const secret of secrets) {
    expect(secret).toStartWith("whsec_");
    expect(Buffer.from(secret.slice(6), "base64")).toHaveLength(32);
  }
});
