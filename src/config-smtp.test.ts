import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Environment, loadConfig } from "./config.ts";
import { errorOf, faultyNames } from "./testing/fixtures/config-faults.ts";

describe("SMTP", () => {
  const folder = mkdtempSync(join(tmpdir(), "config-test-"));
  const pem = join(folder, "ca.pem");
  const notPem = join(folder, "ca.txt");
  beforeAll(() => {
    writeFileSync(pem, "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n");
    writeFileSync(notPem, "hello");
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const account = {
    SMTP_HOST: "smtp.example.com",
    SMTP_USER: "mailer@Example.com",
    SMTP_PASS: " p ",
  };
  const smtp = (env: Environment) => {
    const { transport } = loadConfig(env);
    if (transport.kind !== "smtp") throw new Error("not smtp");
    return transport;
  };

  test("a password is taken to the letter", () => {
    expect(smtp(account).pass).toBe(" p ");
  });

  test("TLS is required exactly when a password would cross a network", () => {
    expect(smtp(account).tls).toBe("required");
    expect(smtp({ ...account, SMTP_HOST: "127.0.0.1" }).tls).toBe("opportunistic");
    expect(smtp({ SMTP_HOST: "smtp.example.com" }).tls).toBe("opportunistic");
    expect(smtp({ SMTP_HOST: "smtp.example.com", SMTP_SECURE: "true" }).tls).toBe("required");
    expect(smtp({ SMTP_HOST: "localhost", SMTP_SECURE: "true" }).tls).toBe("opportunistic");
  });

  test("a password never goes over TLS that is not verified, but to this machine", () => {
    for (const SMTP_TLS of ["opportunistic", "off"]) {
      expect(faultyNames({ ...account, SMTP_TLS })).toEqual(["SMTP_TLS"]);
      expect(errorOf({ ...account, SMTP_TLS }).report).toContain("because SMTP_USER is set");
      for (const SMTP_HOST of ["localhost", "127.0.0.1", "::1"]) {
        expect(String(smtp({ ...account, SMTP_HOST, SMTP_TLS }).tls)).toBe(SMTP_TLS);
      }
      expect(String(smtp({ SMTP_HOST: "relay.example.com", SMTP_TLS }).tls)).toBe(SMTP_TLS);
    }
  });

  test("the port follows SMTP_SECURE", () => {
    expect(smtp(account)).toMatchObject({ port: 587, isSecure: false });
    expect(smtp({ ...account, SMTP_SECURE: "true" })).toMatchObject({ port: 465, isSecure: true });
    expect(smtp({ ...account, SMTP_SECURE: "true", SMTP_PORT: "2465" }).port).toBe(2465);
  });

  test("settings that contradict each other are refused", () => {
    expect(faultyNames({ ...account, SMTP_SECURE: "true", SMTP_TLS: "off" })).toEqual(["SMTP_TLS"]);
    expect(faultyNames({ ...account, SMTP_PASS: "" })).toEqual(["SMTP_PASS"]);
    expect(faultyNames({ ...account, SMTP_USER: "" })).toEqual(["SMTP_USER"]);
  });

  test("what is said at EHLO and AUTH, and messages of one connection, can be set", () => {
    const set = { SMTP_EHLO_NAME: "m.example.com", SMTP_AUTH: "login" };
    expect(smtp({ ...account, ...set, SMTP_MESSAGES_PER_CONNECTION: "10" })).toMatchObject({
      ehloName: "m.example.com",
      auth: "login",
      messagesPerConnection: 10,
    });
    expect(smtp(account)).toMatchObject({ auth: null, messagesPerConnection: 100 });
    expect(smtp({ ...account, SMTP_EHLO_NAME: "[192.0.2.1]" }).ehloName).toBe("[192.0.2.1]");
    for (const wrong of ["a b", "a\r\nRSET", "-a", "a..b"])
      expect(faultyNames({ ...account, SMTP_EHLO_NAME: wrong })).toEqual(["SMTP_EHLO_NAME"]);
    expect(faultyNames({ ...account, SMTP_AUTH: "ntlm" })).toEqual(["SMTP_AUTH"]);
  });

  test("SMTP_TLS_CA is read at the start", () => {
    expect(smtp({ ...account, SMTP_TLS_CA: pem }).tlsCa).toContain("BEGIN CERTIFICATE");
    expect(faultyNames({ ...account, SMTP_TLS_CA: notPem })).toEqual(["SMTP_TLS_CA"]);
    expect(errorOf({ ...account, SMTP_TLS_CA: join(folder, "none") }).report).toContain("ENOENT");
  });

  test("the sender follows SMTP_USER, and only its domain may be used", () => {
    expect(loadConfig(account).sender).toEqual({
      from: "mailer@example.com",
      fromName: null,
      allowed: ["example.com"],
      headersAllowed: [],
    });
    const listed = { ...account, HEADERS_ALLOWED: "X-PM-Tag, X-SES-*" };
    expect(loadConfig(listed).sender.headersAllowed).toEqual(["X-PM-Tag", "X-SES-*"]);
    expect(faultyNames({ ...account, HEADERS_ALLOWED: "X PM, *" })).toEqual(["HEADERS_ALLOWED"]);
    expect(loadConfig({ ...account, SMTP_USER: "apikey" }).sender).toMatchObject({
      from: null,
      allowed: null,
    });
  });

  test("a name in SMTP_FROM is used unless SMTP_FROM_NAME says another", () => {
    const env = { ...account, SMTP_FROM: "Example Ltd <no-reply@example.org>" };
    expect(loadConfig(env).sender).toMatchObject({
      from: "no-reply@example.org",
      fromName: "Example Ltd",
      allowed: ["example.org"],
    });
    expect(loadConfig({ ...env, SMTP_FROM_NAME: "Other" }).sender.fromName).toBe("Other");
  });

  test("SMTP_FROM_ALLOWED takes addresses and domains, in any letter case and script", () => {
    const { sender } = loadConfig({
      ...account,
      SMTP_FROM_ALLOWED: "Example.COM, @bücher.example, News@Example.org",
    });
    expect(sender.allowed).toEqual(["example.com", "xn--bcher-kva.example", "News@example.org"]);
  });
});
