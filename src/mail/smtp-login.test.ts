import { afterEach, describe, expect, test } from "bun:test";
import { ehloNameOf } from "../config-smtp.ts";
import { createSmtpBench, sendRequest } from "../testing/fixtures/smtp-fixtures.ts";
import type { SmtpSink } from "../testing/servers/smtp-sink.ts";
import { replyAt, replyThenDropAt, type SinkRule } from "../testing/servers/smtp-sink-rules.ts";
import { adviceFor } from "./advice.ts";
import { faultWords, transportFaultOf } from "./transport-fault.ts";

const { sinkWith, transportTo, close } = createSmtpBench();

afterEach(close);

const auth = { user: "user", pass: "pass word" };
const offers = (mechanisms: string) => replyAt("ehlo", `250-sink.test\n250 AUTH ${mechanisms}`);
const logins = (sink: SmtpSink) => sink.steps.filter(({ phase }) => phase === "auth").length;
const firstLogin =
  (text: string): SinkRule =>
  ({ phase, count }) =>
    phase === "auth" && count === 1 ? { do: "reply", text } : null;

describe("a login", () => {
  for (const text of [
    "504 5.7.4 Unrecognized authentication type",
    "534 5.7.9 Mechanism too weak",
    "535 5.7.8 Bad credentials",
    "553 5.3.0 Auth failure",
  ]) {
    test(`refused by "${text}" is tried by the next mechanism that is offered`, async () => {
      const sink = await sinkWith({ auth, isAuthRequired: true, rules: [firstLogin(text)] });
      const report = await transportTo(sink, auth).send(sendRequest());
      expect(report.reply?.code).toBe(250);
      expect(logins(sink)).toBe(2);
    });
  }

  test("begins with the other mechanism where the server hung up at the first", async () => {
    const sink = await sinkWith({ auth, isAuthRequired: true });
    sink.setRules(replyThenDropAt("auth", "553 5.3.0 Auth failure", { times: 1 }));
    const transport = transportTo(sink, auth);
    expect(await transport.send(sendRequest())).toMatchObject({ phase: "auth", error: null });
    // What would be refused again were PLAIN.
    sink.setRules(offers("PLAIN LOGIN"));
    expect((await transport.send(sendRequest())).reply?.code).toBe(250);
    expect(sink.mechanisms).toEqual(["PLAIN", "LOGIN"]);
  });

  test("refused twice is told with the reply, and not tried a third time", async () => {
    const sink = await sinkWith({ auth, rules: [offers("CRAM-MD5 LOGIN PLAIN")] });
    const report = await transportTo(sink, { ...auth, pass: "wrong" }).send(sendRequest());
    expect(report).toMatchObject({ phase: "auth", reply: { code: 535 } });
    expect(sink.mechanisms).toEqual(["PLAIN", "LOGIN"]);
  });

  test("refused for now is not tried by another mechanism", async () => {
    const rules = [replyAt("auth", "454 4.7.0 Temporary authentication failure")];
    const sink = await sinkWith({ auth, rules });
    expect((await transportTo(sink, auth).send(sendRequest())).reply?.code).toBe(454);
    expect(logins(sink)).toBe(1);
  });

  test("goes by SMTP_AUTH alone", async () => {
    for (const mechanism of ["plain", "login"] as const) {
      const sink = await sinkWith({ auth, isAuthRequired: true });
      const report = await transportTo(sink, { ...auth, auth: mechanism }).send(sendRequest());
      expect(report.reply?.code).toBe(250);
      expect(sink.mechanisms).toEqual([mechanism.toUpperCase()]);
    }
  });

  const unusable: [string, "plain" | "login" | null][] = [
    ["XOAUTH2 NTLM", null],
    ["LOGIN", "plain"],
    ["", null],
  ];
  for (const [offered, chosen] of unusable) {
    test(`with "${offered}" offered and SMTP_AUTH ${chosen} sends no password, and says why`, async () => {
      const sink = await sinkWith({ auth, rules: [offers(offered)] });
      const report = await transportTo(sink, { ...auth, auth: chosen }).send(sendRequest());
      expect(sink.mechanisms).toEqual([]);
      expect(report).toMatchObject({ phase: "auth", reply: { code: 504, enhanced: "5.5.4" } });
      expect(report.reply?.text).toContain(offered.split(" ")[0] || "no mechanism");
      expect(transportFaultOf(report)).toMatchObject({ reason: "auth_mechanism", smtpCode: 504 });
      for (const words of [adviceFor(report), faultWords.auth_mechanism]) {
        expect(words).toContain("SMTP_AUTH");
        expect(words).not.toMatch(/SMTP_(USER|PASS)/);
      }
    });
  }
});

test("534 is about the mechanism where it says so; Gmail's wants an app password", () => {
  const said = (text: string) => ({
    ...({ phase: "auth", reply: { code: 534, enhanced: "5.7.9", text }, error: null } as const),
    ...{ fenced: false, messageDate: null, recipients: [], withheld: null, transport: "t" },
  });
  const weak = said("Authentication mechanism is too weak");
  expect(transportFaultOf(weak)?.reason).toBe("auth_mechanism");
  const gmail = said("Application-specific password required.");
  expect(transportFaultOf(gmail)?.reason).toBe("auth");
  expect(adviceFor(gmail)).toContain("app password");
});

describe("EHLO", () => {
  test("says SMTP_EHLO_NAME", async () => {
    const sink = await sinkWith();
    await transportTo(sink, { ehloName: "mailer.example.com" }).send(sendRequest());
    expect(sink.steps.find(({ phase }) => phase === "ehlo")?.argument).toBe("mailer.example.com");
  });

  test("refused for its name, at once or later, is told with what to set", async () => {
    const said = [
      replyThenDropAt("ehlo", "421-4.7.0 Try again later, closing connection.\n421 4.7.0 (EHLO)"),
      replyAt(
        "rcpt",
        "504 5.5.2 <[127.0.0.1]>: Helo command rejected: need fully-qualified hostname",
      ),
    ];
    for (const rule of said) {
      const sink = await sinkWith({ rules: [rule] });
      expect(adviceFor(await transportTo(sink).send(sendRequest()))).toContain("SMTP_EHLO_NAME");
    }
  });

  test("has a default with a dot, from the host, PUBLIC_URL or SMTP_FROM", () => {
    const none = { SMTP_EHLO_NAME: null, PUBLIC_URL: null, SMTP_FROM: null, SMTP_USER: null };
    const from = { address: "a@example.org", name: null };
    const table: [Partial<Parameters<typeof ehloNameOf>[0]>, string, string | null][] = [
      [{ SMTP_EHLO_NAME: "x.test", PUBLIC_URL: "https://y.test" }, "host.test", "x.test"],
      [{ PUBLIC_URL: "https://y.test:8443/a" }, "host.test", "host.test"],
      [{ PUBLIC_URL: "https://y.test:8443/a", SMTP_FROM: from }, "4f3a2b1c", "y.test"],
      [{ PUBLIC_URL: "http://localhost:3000", SMTP_FROM: from }, "4f3a2b1c", "example.org"],
      [{ PUBLIC_URL: "http://10.0.0.1:3000", SMTP_USER: "me@example.com" }, "box", "example.com"],
      [{ SMTP_USER: "apikey" }, "my_box.local", null],
    ];
    for (const [values, host, expected] of table) {
      expect(ehloNameOf({ ...none, ...values }, host)).toBe(expected);
    }
  });
});

test("advice promises no other attempt of a test mail, whatever was said", () => {
  const phases = ["greeting", "ehlo", "auth", "mail", "rcpt", "data", "reply"] as const;
  for (const phase of phases) {
    for (const code of [421, 432, 450, 451, 452, 454, 500, 504, 535, 550, 554]) {
      for (const text of ["Greylisted", "try later", ""]) {
        const words = adviceFor({
          phase,
          reply: { code, enhanced: null, text },
          error: null,
          isFinal: true,
        });
        expect(words).not.toMatch(/tried again|next attempt/i);
      }
    }
  }
});
