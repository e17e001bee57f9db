import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";

export interface SignInLimitOptions {
  /** Tokens and links from one network that fail within the window. Default 10. */
  perNetwork?: number;
  /** The same, from everywhere together. Default 300. */
  overall?: number;
  /** Passwords of one account from one network. Default 10. */
  perAccountAndNetwork?: number;
  /** Passwords of one account from networks it has not signed in from. Default 50. */
  perAccount?: number;
  /** Default ten minutes. */
  windowMs?: number;
  now?: () => number;
}

export type SignInTurn = { kind: "go" } | { kind: "wait"; seconds: number };

/**
 * Bounds how often somebody may guess, in this process alone. A token or a link that verifies is
 * never refused: checking it costs little, and a limit on it would let anybody lock everybody out.
 */
export interface SignInLimit {
  /** Counts a token or a link that was refused; `wait`: there were too many to note each. */
  fail(address: string | null): SignInTurn;
  /** Counts a password before anybody is asked about it, so that many at one moment do not pass. */
  takePassword(account: string, address: string | null): SignInTurn;
  /** The password that was taken last was right, or nobody could say. */
  giveBackPassword(account: string, address: string | null, isRight: boolean): void;
}

/** Beyond these the oldest is forgotten: memory is not for strangers to fill. */
const keysMax = 10_000;

export function createSignInLimit(options: SignInLimitOptions = {}): SignInLimit {
  const { perNetwork = 10, overall = 300, perAccountAndNetwork = 10, perAccount = 50 } = options;
  const { windowMs = 600_000, now = () => performance.now() } = options;
  const windows = (most: number) => createWindows({ most, windowMs, now });
  const networks = windows(perNetwork);
  const everybody = windows(overall);
  const pairs = windows(perAccountAndNetwork);
  const accounts = windows(perAccount);
  /** Pairs of an account and a network it has signed in from. */
  const known = new Set<string>();
  const pairOf = (account: string, address: string | null) =>
    `${networkOf(address)} ${hashOf(account)}`;

  return {
    fail(address) {
      const own = networks.take(networkOf(address));
      return own.kind === "wait" ? own : everybody.take("");
    },
    takePassword(account, address) {
      const pair = pairOf(account, address);
      const own = pairs.take(pair);
      if (own.kind === "wait" || known.has(pair)) return own;
      const all = accounts.take(hashOf(account));
      if (all.kind === "wait") pairs.giveBack(pair);
      return all;
    },
    giveBackPassword(account, address, isRight) {
      const pair = pairOf(account, address);
      pairs.giveBack(pair);
      if (!known.has(pair)) accounts.giveBack(hashOf(account));
      if (!isRight) return;
      known.delete(pair);
      known.add(pair);
      const oldest = known.size > keysMax ? known.values().next().value : undefined;
      if (oldest !== undefined) known.delete(oldest);
    },
  };
}

function createWindows({
  most,
  windowMs,
  now,
}: {
  most: number;
  windowMs: number;
  now: () => number;
}) {
  const byKey = new Map<string, { tries: number; endsAt: number }>();

  function windowOf(key: string) {
    const present = byKey.get(key);
    if (present !== undefined && present.endsAt > now()) return present;
    const fresh = { tries: 0, endsAt: now() + windowMs };
    byKey.delete(key);
    byKey.set(key, fresh);
    const oldest = byKey.size > keysMax ? byKey.keys().next().value : undefined;
    if (oldest !== undefined) byKey.delete(oldest);
    return fresh;
  }

  return {
    take(key: string): SignInTurn {
      const own = windowOf(key);
      if (own.tries >= most) {
        return { kind: "wait", seconds: Math.ceil((own.endsAt - now()) / 1000) };
      }
      own.tries++;
      return { kind: "go" };
    },
    giveBack(key: string): void {
      const own = windowOf(key);
      own.tries = Math.max(0, own.tries - 1);
    },
  };
}

/** However long a name strangers make up. */
function hashOf(account: string): string {
  return createHash("sha256").update(account).digest("base64");
}

/** Of IPv6 the /64: a household has that many addresses, and an attacker too. */
function networkOf(address: string | null): string {
  if (address === null) return "";
  if (!isIPv6(address) || address.includes(".")) return address;
  const [head = "", tail = ""] = address.split("::");
  const first = head.split(":").filter(Boolean);
  const last = tail.split(":").filter(Boolean);
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => "0");
  return [...first, ...zeros, ...last].slice(0, 4).join(":");
}
