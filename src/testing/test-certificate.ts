import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** A self-made authority and a server certificate it signed, all PEM. */
export interface TestCertificate {
  /** What a client has to trust (`SMTP_TLS_CA`). */
  ca: string;
  cert: string;
  key: string;
}

/**
 * Makes an authority and a certificate for `localhost` and 127.0.0.1, valid for ten years. Written
 * out in DER by hand because a bare machine has no `openssl` and node:crypto cannot issue X.509.
 */
export function makeTestCertificate(): TestCertificate {
  const authority = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const server = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const caName = commonName("Test authority");
  const ca = issue({
    subject: caName,
    issuer: caName,
    publicKey: authority.publicKey,
    signer: authority.privateKey,
    extensions: [
      extension("551d13", true, sequence(der(0x01, Buffer.from([0xff])))),
      extension("551d0e", false, der(0x04, keyIdentifier(authority.publicKey))),
    ],
  });
  const cert = issue({
    subject: commonName("localhost"),
    issuer: caName,
    publicKey: server.publicKey,
    signer: authority.privateKey,
    extensions: [
      extension("551d11", false, sequence(dnsName("localhost"), ipName([127, 0, 0, 1]))),
      extension("551d23", false, sequence(der(0x80, keyIdentifier(authority.publicKey)))),
    ],
  });
  const key = server.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { ca, cert, key };
}

interface Issue {
  subject: Buffer;
  issuer: Buffer;
  publicKey: KeyObject;
  signer: KeyObject;
  extensions: Buffer[];
}

const ecdsaWithSha256 = der(0x30, objectId("2a8648ce3d040302"));

function issue({ subject, issuer, publicKey, signer, extensions }: Issue): string {
  const year = new Date().getUTCFullYear();
  const validity = sequence(utcTime(year - 1), utcTime(year + 9));
  const serial = der(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(15)]));
  const toBeSigned = sequence(
    der(0xa0, der(0x02, Buffer.from([0x02]))),
    serial,
    ecdsaWithSha256,
    issuer,
    validity,
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign("sha256", toBeSigned, signer);
  const certificate = sequence(toBeSigned, ecdsaWithSha256, bitString(signature));
  const lines = certificate.toString("base64").replace(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/** One DER element: tag, length, content (ITU-T X.690). */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), content]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function objectId(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, "hex"));
}

function bitString(content: Buffer): Buffer {
  return der(0x03, Buffer.concat([Buffer.from([0]), content]));
}

function commonName(text: string): Buffer {
  const attribute = sequence(objectId("550403"), der(0x0c, Buffer.from(text, "utf8")));
  return sequence(der(0x31, attribute));
}

function extension(idHex: string, isCritical: boolean, content: Buffer): Buffer {
  const critical = isCritical ? [der(0x01, Buffer.from([0xff]))] : [];
  return sequence(objectId(idHex), ...critical, der(0x04, content));
}

function dnsName(name: string): Buffer {
  return der(0x82, Buffer.from(name, "ascii"));
}

function ipName(octets: number[]): Buffer {
  return der(0x87, Buffer.from(octets));
}

function utcTime(year: number): Buffer {
  return der(0x17, Buffer.from(`${String(year % 100).padStart(2, "0")}0101000000Z`, "ascii"));
}

function keyIdentifier(publicKey: KeyObject): Buffer {
  return createHash("sha1")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest();
}
