import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSmtpTransport } from "../../mail/smtp-transport.ts";
import { sinkSettings } from "../../testing/product/delivery.ts";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { createSmtpSink, type SmtpSink } from "../../testing/servers/smtp-sink.ts";

setDefaultTimeout(120_000);

let sink: SmtpSink;
let api: TestApi;
let folder: string;
beforeAll(async () => {
  sink = await createSmtpSink();
  const transport = createSmtpTransport(sinkSettings(sink), {});
  api = await startTestApi({}, { transport });
  // Short, since gpg's agent listens on a socket in it.
  folder = mkdtempSync(join(tmpdir(), "pgp-"));
});
afterAll(async () => {
  await api?.close();
  await sink?.close();
  await run(["gpgconf", "--homedir", folder, "--kill", "all"]).catch(() => undefined);
  rmSync(folder, { recursive: true, force: true });
});

const path = (name: string) => join(folder, name);
const crlf = (text: string) => text.replace(/\r?\n/g, "\r\n");

/** Everything that careless software on the way changes: a signature is over each byte of it. */
const part = crlf(
  [
    "Content-Type: text/plain; charset=us-ascii",
    "Content-Transfer-Encoding: 7bit",
    "",
    "The invoice is approved.  ",
    ".",
    "..two dots, and a tab at the end\t",
    "From the desk of Ada",
    "x".repeat(998),
    "",
    "",
  ].join("\n"),
);

async function run(
  command: string[],
  input = "",
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = Bun.spawn(command, {
    ...{ stdin: new Blob([Buffer.from(input, "latin1")]), stdout: "pipe", stderr: "pipe" },
    env: { ...process.env, LC_ALL: "C" },
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).bytes().then((bytes) => Buffer.from(bytes).toString("latin1")),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

async function done(command: string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await run(command, input);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  return stdout;
}

/** Hands over a finished message, sends it, and answers what the next hop got. */
async function delivered(message: string): Promise<string> {
  const body = {
    recipients: ["bob@example.com"],
    raw: Buffer.from(message, "latin1").toString("base64"),
  };
  const { status, json } = await api.request<{ id: string }>("POST", "/api/v1/schedule-mail", {
    body,
  });
  if (status !== 201) throw new Error(JSON.stringify(json));
  const before = sink.acceptances.length;
  await api.deliver(json.data.id);
  const acceptance = sink.acceptances[before];
  return Buffer.from(acceptance?.message ?? []).toString("latin1");
}

const header = "From: shop@example.org\r\nTo: bob@example.com\r\nSubject: Invoice\r\n";

describe("S/MIME", () => {
  beforeAll(async () => {
    await done([
      ...["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"],
      ...["-subj", "/CN=Shop", "-addext", "subjectAltName=email:shop@example.org"],
      ...["-keyout", path("smime.key"), "-out", path("smime.pem")],
    ]);
  });
  const pair = () => ["-signer", path("smime.pem"), "-inkey", path("smime.key")];

  /** With its exit code: 0 says that the signature is that of the certificate. */
  const verify = (message: string) =>
    run(["openssl", "cms", "-verify", "-inform", "SMIME", "-CAfile", path("smime.pem")], message);

  test("a signature is good after the delivery, and bad once a byte is another", async () => {
    const signed = crlf(await done(["openssl", "cms", "-sign", ...pair()], part));
    const got = await delivered(header + signed);
    expect(got).toEndWith(header + signed);
    const verified = await verify(got);
    expect([verified.code, verified.stdout]).toEqual([0, part]);
    expect((await verify(got.replace("approved.", "approved!"))).code).not.toBe(0);
    expect((await verify(got.replace("approved.  ", "approved. "))).code).not.toBe(0);
  });

  test("an encrypted message opens after the delivery", async () => {
    const sealed = await done(
      ["openssl", "cms", "-encrypt", "-aes-256-cbc", "-binary", path("smime.pem")],
      part,
    );
    const got = await delivered(header + crlf(sealed));
    const opened = await done(
      ["openssl", "cms", "-decrypt", "-recip", path("smime.pem"), "-inkey", path("smime.key")],
      got,
    );
    expect(opened).toBe(part);
  });
});

describe("OpenPGP", () => {
  const gpg = (...args: string[]) => {
    const quiet = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""];
    return ["gpg", "--homedir", folder, ...quiet, "--trust-model", "always", ...args];
  };
  beforeAll(async () => {
    await done(gpg("--quick-generate-key", "Shop <shop@example.org>", "ed25519", "sign", "1d"));
    const keys = await done(gpg("--list-keys", "--with-colons"));
    const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(keys)?.[1] ?? "";
    await done(gpg("--quick-add-key", fingerprint, "cv25519", "encr", "1d"));
  });

  /** The signed part of a multipart/signed message and its signature (RFC 3156 section 5). */
  async function verify(message: string) {
    const [, first = "", second = ""] = message.split("--the-boundary");
    // The line end before a boundary is the boundary's.
    writeFileSync(path("part"), Buffer.from(first.slice(2, -2), "latin1"));
    writeFileSync(path("part.asc"), second.slice(second.indexOf("-----BEGIN")));
    return await run(gpg("--verify", path("part.asc"), path("part")));
  }

  test("a signature is good after the delivery, and bad once a byte is another", async () => {
    const signature = await done(gpg("--armor", "--detach-sign"), part);
    const message = `${header}${crlf(`MIME-Version: 1.0
Content-Type: multipart/signed; micalg=pgp-sha512;
 protocol="application/pgp-signature"; boundary="the-boundary"

--the-boundary
`)}${part}${crlf(`
--the-boundary
Content-Type: application/pgp-signature; name="signature.asc"

${signature}
--the-boundary--
`)}`;
    const got = await delivered(message);
    expect(got).toEndWith(message);
    const verified = await verify(got);
    expect([verified.code, verified.stderr]).toEqual([
      0,
      expect.stringContaining("Good signature"),
    ]);
    expect((await verify(got.replace("tab at the end\t", "tab at the end "))).code).not.toBe(0);
  });

  test("an encrypted message opens after the delivery", async () => {
    const to = ["--recipient", "shop@example.org"];
    const sealed = await done(gpg("--armor", "--encrypt", ...to), part);
    const message = `${header}${crlf(`MIME-Version: 1.0
Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="the-boundary"

--the-boundary
Content-Type: application/pgp-encrypted

Version: 1
--the-boundary
Content-Type: application/octet-stream; name="encrypted.asc"

${sealed}
--the-boundary--
`)}`;
    const got = await delivered(message);
    const armored = /-----BEGIN PGP MESSAGE-----[\s\S]*-----END PGP MESSAGE-----/.exec(got)?.[0];
    expect(await done(gpg("--decrypt"), armored)).toBe(part);
  });
});
