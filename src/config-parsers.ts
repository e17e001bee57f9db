import ipaddr from "ipaddr.js";
import type { AllowedOwner } from "./config.ts";
import { secretCommand } from "./config-secrets.ts";
import type { Address } from "./email/email.ts";
import { parseAddress } from "./email/parse-address.ts";
import { parseDomain } from "./email/parse-domain.ts";
import { isFault, type Parsed } from "./email/parsed.ts";
import { isPrivateAddress } from "./outgoing/refused-range.ts";

/** Turns the text of one environment variable into a value, or into undefined when it is none. */
export interface Parser<T> {
  /** Completes the sentence "expected …" of a fault. */
  readonly expected: string;
  parse(text: string): T | undefined;
}

export function text(expected: string, pattern: RegExp = /./s): Parser<string> {
  return { expected, parse: (value) => (pattern.test(value) ? value : undefined) };
}

/** Whole numbers only: `1e3`, `0x10` and `10.0` are refused, because they are rarely meant. */
export function integer(min: number, max: number): Parser<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    parse: (value) => {
      const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
      return number >= min && number <= max ? number : undefined;
    },
  };
}

/** Plain digits with or without a fraction; `1e3` and `.5` are refused. */
export function decimal(min: number, max: number): Parser<number> {
  return {
    expected: `a number from ${min} to ${max}, such as 14 or 0.5`,
    parse: (value) => {
      const number = /^\d{1,9}(\.\d{1,9})?$/.test(value) ? Number(value) : Number.NaN;
      return number >= min && number <= max ? number : undefined;
    },
  };
}

const flags: Record<string, boolean> = {
  true: true,
  "1": true,
  yes: true,
  on: true,
  false: false,
  "0": false,
  no: false,
  off: false,
};

export function flag(): Parser<boolean> {
  return { expected: "true or false", parse: (value) => flags[value.toLowerCase()] };
}

export function oneOf<const T extends string>(...choices: readonly T[]): Parser<T> {
  return {
    expected: `one of ${choices.join(", ")}`,
    parse: (value) => choices.find((choice) => choice === value.toLowerCase()),
  };
}

/** The URL as it was written; its scheme must be one of the given. */
export function url(...schemes: readonly string[]): Parser<string> {
  return {
    expected: `a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`,
    parse: (value) => {
      const scheme = URL.canParse(value) ? new URL(value).protocol.slice(0, -1) : "";
      return schemes.includes(scheme) && value.includes("://") ? value : undefined;
    },
  };
}

/** Where a project's API is; not its dashboard, its database, or one of its parts. */
export function supabaseUrl(): Parser<string> {
  return {
    expected:
      "the API URL of the project, such as https://abcdefgh.supabase.co, without /rest/v1 " +
      "(http:// only to a private address)",
    parse: (value) => {
      if (!URL.canParse(value)) return undefined;
      const { protocol, hostname, pathname, username, search } = new URL(value);
      const isHosted = hostname.endsWith(".supabase.co");
      const isFit =
        (protocol === "https:" || (protocol === "http:" && !isHosted && mayBePrivate(hostname))) &&
        !/(^|\.)supabase\.com$|^db\./.test(hostname) &&
        !/\/v\d/.test(pathname) &&
        username === "" &&
        search === "";
      return isFit ? value : undefined;
    },
  };
}

/** A name is looked up when it is called; see `createSupabaseDatabase`. */
function mayBePrivate(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "");
  return !ipaddr.isValid(host) || isPrivateAddress(host);
}

/** A key that may act as `service_role`; the anon key would fail at every call. */
export function serviceRoleKey(): Parser<string> {
  return {
    expected:
      "the project's service_role key, or one that starts with sb_secret_ " +
      "(an anon or sb_publishable_ key may read nothing and send nothing)",
    parse: (value) => {
      const key = value.trim();
      if (!/^[\w.-]+$/.test(key) || key.startsWith("sb_publishable_")) return undefined;
      return key.startsWith("sb_") || roleOf(key) === "service_role" ? key : undefined;
    },
  };
}

/** The role that a JWT claims, unverified; undefined when it is no JWT. */
function roleOf(jwt: string): unknown {
  try {
    return JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString()).role;
  } catch {
    // No JWT has no role.
    return undefined;
  }
}

/** `host:port`; an IPv6 address stands in brackets. */
export function hostPort(defaultPort: number): Parser<{ host: string; port: number }> {
  return {
    expected: `host:port, such as redis.example.com:${defaultPort}`,
    parse: (value) => {
      const [, host = "", port] = /^(\[[\da-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/i.exec(value) ?? [];
      const number = port === undefined ? defaultPort : Number(port);
      if (host === "" || number < 1 || number > 65_535) return undefined;
      return { host: host.replace(/^\[|\]$/g, ""), port: number };
    },
  };
}

/** Comma separated; every part must be fit for `part`, and there must be one at least. */
export function listOf<T>(part: Parser<T>): Parser<readonly T[]> {
  return {
    expected: `${part.expected} (several: separated by commas)`,
    parse: (value) => {
      const texts = value.split(",").map((piece) => piece.trim());
      const parts = texts.filter((piece) => piece !== "").map((piece) => part.parse(piece));
      const isFit = parts.length > 0 && !parts.includes(undefined);
      return isFit ? (parts as T[]) : undefined;
    },
  };
}

export function address(): Parser<Address> {
  return {
    expected: "an e-mail address, with or without a name",
    parse: (value) => accepted(parseAddress(value)),
  };
}

/** What a sender may look like: a whole address, or a domain (`example.com`, `@example.com`). */
export function addressOrDomain(): Parser<string> {
  return {
    expected: "addresses or domains",
    parse: (value) =>
      bareAddress(value) ?? accepted(parseDomain(value.startsWith("@") ? value.slice(1) : value)),
  };
}

/** Which users are served: `example.com`, `role:staff`, `app_metadata.team=mail`. */
export function allowedOwner(): Parser<AllowedOwner> {
  const domains = addressOrDomain();
  return {
    expected:
      "domains (example.com), roles (role:staff) or claims (app_metadata.team=mail, never " +
      "user_metadata, which users write themselves)",
    parse: (value) => {
      const role = /^role:(\S+)$/.exec(value)?.[1];
      if (role !== undefined) return { kind: "role", role };
      const [, name, wanted] = /^([\w.-]+)=(\S+)$/.exec(value) ?? [];
      if (name !== undefined && wanted !== undefined) {
        const path = name.split(".");
        const isFit = path[0] !== "user_metadata" && !path.includes("");
        return isFit ? { kind: "claim", path, value: wanted } : undefined;
      }
      const domain = domains.parse(value);
      return domain === undefined || domain.includes("@") ? undefined : { kind: "domain", domain };
    },
  };
}

/** `a@b` as it goes on the wire; undefined for anything else, a name beside it included. */
export function bareAddress(value: string): string | undefined {
  return value.includes("<") ? undefined : accepted(parseAddress(value))?.address;
}

function accepted<T>(parsed: Parsed<T>): T | undefined {
  return isFault(parsed) ? undefined : parsed.value;
}

/** 64 hex digits, base64 of 32 bytes, or a passphrase: `createKeyRing` tells them apart. */
export function encryptionKey(): Parser<string> {
  return {
    expected:
      "64 hex digits, base64 of 32 bytes, or a passphrase of at least 16 characters " +
      `(${secretCommand} makes one)`,
    parse: (value) => (value.trim().length >= 16 ? value.trim() : undefined),
  };
}

/** 32 random bytes, which a passphrase is not. */
export function signingSeed(): Parser<string> {
  return {
    expected: `64 hex digits or base64 of 32 bytes (${secretCommand} makes them)`,
    parse: (value) => {
      const text = value.trim();
      return /^([0-9a-f]{64}|[A-Za-z0-9+/]{43}=)$/i.test(text) ? text : undefined;
    },
  };
}

export function secret(charactersMin: number): Parser<string> {
  return {
    expected: `a secret of at least ${charactersMin} characters on one line (${secretCommand} makes one)`,
    parse: (value) => (value.length >= charactersMin && !/\p{Cc}/u.test(value) ? value : undefined),
  };
}

/** A secret that clients send in a header. */
export function bearerToken(charactersMin: number): Parser<string> {
  return {
    expected:
      `at least ${charactersMin} visible ASCII characters, which a header can carry ` +
      `(${secretCommand} makes them)`,
    parse: (value) =>
      value.length >= charactersMin && /^[\x21-\x7e]+$/.test(value) ? value : undefined,
  };
}

/** Whose word on where a request comes from is taken. */
export type ProxyTrust =
  | { readonly kind: "none" }
  /** The number of our own proxies in a row before this process. */
  | { readonly kind: "hops"; readonly hops: number }
  /** Networks in CIDR notation that our proxies are in. */
  | { readonly kind: "ranges"; readonly ranges: readonly string[] }
  /** Fly.io's proxy, by its own header. */
  | { readonly kind: "fly" };

const proxiesInARowMax = 10;

export function proxyTrust(): Parser<ProxyTrust> {
  const hopsOf = integer(0, proxiesInARowMax);
  const rangesOf = listOf(network());
  return {
    expected:
      `true, false, how many proxies stand in a row (up to ${proxiesInARowMax}), their ` +
      "addresses or networks (several: separated by commas), or fly",
    parse: (value) => {
      if (value.toLowerCase() === "fly") return { kind: "fly" };
      const isOn = flag().parse(value);
      const hops = isOn === undefined ? hopsOf.parse(value) : Number(isOn);
      if (hops !== undefined) return hops === 0 ? { kind: "none" } : { kind: "hops", hops };
      const ranges = rangesOf.parse(value);
      return ranges === undefined ? undefined : { kind: "ranges", ranges };
    },
  };
}

/** An address or a network, as a network. */
function network(): Parser<string> {
  return {
    expected: "an address or a network such as 10.0.0.0/8",
    parse: (value) => {
      const [address = ""] = value.split("/");
      // The library also takes `10.1` and `0x7f.1`.
      if (!address.includes(":") && !/^\d+\.\d+\.\d+\.\d+$/.test(address)) return undefined;
      if (ipaddr.isValidCIDR(value)) return value;
      if (!ipaddr.isValid(value)) return undefined;
      return `${value}/${ipaddr.parse(value).kind() === "ipv4" ? 32 : 128}`;
    },
  };
}
