import { describe, expect, test } from "bun:test";
import { createClient } from "./client.ts";
import { MailerError } from "./mailer-error.ts";

const event = { type: "email.sent", timestamp: "2030-01-04T08:00:00.412Z", data: {} };
const stream = (...ids: string[]) =>
  new Response(ids.map((id) => `id: ${id}\ndata: ${JSON.stringify(event)}\n\n`).join(""), {
    headers: { "content-type": "text/event-stream" },
  });
const failed = (code: string, message = code) => Object.assign(new TypeError(message), { code });

type Answer = Response | Error;

/** A client whose requests are answered with these in turn; the last one goes on. */
function scripted(...answers: Answer[]) {
  const asked: string[] = [];
  const client = createClient({
    url: "https://mail.example.com",
    fetch: async (url) => {
      asked.push(new URL(url).search);
      const answer = (answers.length > 1 ? answers.shift() : answers[0]) as Answer;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  return { client, asked };
}

async function firstOf(events: AsyncIterable<{ id: string }>): Promise<string> {
  for await (const { id } of events) return id;
  throw new Error("it ended without an event");
}

describe("goes on", () => {
  test("while there is no answer, also before the first, and tells why it waits", async () => {
    const down = new Response("away", { status: 503 });
    const newest = Response.json({ data: [{ id: "7" }] });
    const { client, asked } = scripted(failed("ECONNREFUSED"), down, newest, stream("8"));
    const told: [string, number][] = [];
    const onFailure = (failure: Error, waitMs: number) => {
      told.push([(failure as MailerError).code, waitMs]);
    };
    expect(await firstOf(client.follow({ onFailure }))).toBe("8");
    expect(told).toEqual([
      ["no_answer", 250],
      ["unexpected_answer", 500],
    ]);
    expect(asked).toEqual(["?limit=1", "?limit=1", "?limit=1", "?after=7"]);
  });

  test("when a credential cannot be had in the midst of it", async () => {
    const answers = [stream("1"), stream("2")];
    const tokens = [async () => "a", () => Promise.reject(new Error("offline")), async () => "b"];
    const told: string[] = [];
    const client = createClient({
      url: "https://mail.example.com",
      token: async () => (await tokens.shift()?.()) ?? "",
      fetch: async () => answers.shift() as Response,
    });
    const seen: string[] = [];
    for await (const { id } of client.follow({
      after: "0",
      onFailure: (e) => told.push(e.message),
    })) {
      seen.push(id);
      if (id === "2") break;
    }
    expect([seen, told]).toEqual([["1", "2"], ["offline"]]);
  });
});

describe("ends", () => {
  test.each([
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "CERT_HAS_EXPIRED",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "ERR_SSL_WRONG_VERSION_NUMBER",
    "ERR_INVALID_URL",
    "ERR_INVALID_PROTOCOL",
  ])("with %s, whoever says it, at the first try", async (code) => {
    for (const failure of [failed(code), new TypeError("fetch failed", { cause: failed(code) })]) {
      for (const options of [{}, { after: "0" }]) {
        const { client, asked } = scripted(failure);
        await expect(firstOf(client.follow(options))).rejects.toMatchObject({
          code: "no_answer",
          message: expect.stringContaining(`https://mail.example.com cannot be asked: ${code}`),
        });
        expect(asked).toHaveLength(1);
      }
    }
  });

  test("a call that fails so is not repeated either", async () => {
    const { client, asked } = scripted(failed("CERT_HAS_EXPIRED", "certificate has expired"));
    await expect(client.getHealth()).rejects.toThrow(/certificate has expired$/);
    expect(asked).toHaveLength(1);
  });

  test("when somebody else answers there", async () => {
    for (const options of [{}, { after: "0" }]) {
      const page = new Response("<h1>Welcome</h1>", { headers: { "content-type": "text/html" } });
      const { client } = scripted(page);
      const following = firstOf(client.follow(options));
      await expect(following).rejects.toMatchObject({ code: "unexpected_answer", status: 200 });
      await expect(following).rejects.toBeInstanceOf(MailerError);
    }
  });

  test("without a credential to begin with", async () => {
    const token = () => Promise.reject(new Error("no secret"));
    const client = createClient({ url: "https://mail.example.com", token });
    for (const options of [{}, { after: "0" }]) {
      await expect(firstOf(client.follow(options))).rejects.toThrow("no secret");
    }
  });
});
