import { isIPv6 } from "node:net";

export interface SignInLimitOptions {
  /** Tries that fail from one address within the window. Default 10. */
  perAddress?: number;
  /** Tries that fail from everywhere together. Default 300. */
  overall?: number;
  /** Default ten minutes. */
  windowMs?: number;
  now?: () => number;
}

/** Bounds how often somebody may guess. Of this process alone. */
export interface SignInLimit {
  /** Counts a try before it is looked at, so that many at one moment do not pass together. */
  take(address: string | null): { kind: "go" } | { kind: "wait"; seconds: number };
  /** The try that was taken last from this address was no guess. */
  giveBack(address: string | null): void;
}

interface Window {
  tries: number;
  endsAt: number;
}

const addressesMax = 10_000;

export function createSignInLimit(options: SignInLimitOptions = {}): SignInLimit {
  const { perAddress = 10, overall = 300, windowMs = 600_000 } = options;
  const { now = () => performance.now() } = options;
  const byAddress = new Map<string, Window>();
  let everybody: Window = { tries: 0, endsAt: 0 };

  function windowOf(address: string | null): Window {
    const key = networkOf(address);
    const known = byAddress.get(key);
    if (known !== undefined && known.endsAt > now()) return known;
    const fresh = { tries: 0, endsAt: now() + windowMs };
    byAddress.delete(key);
    byAddress.set(key, fresh);
    // Whoever has that many addresses is held by the limit for all together.
    const oldest = byAddress.size > addressesMax ? byAddress.keys().next().value : undefined;
    if (oldest !== undefined) byAddress.delete(oldest);
    return fresh;
  }

  return {
    take: (address) => {
      if (everybody.endsAt <= now()) everybody = { tries: 0, endsAt: now() + windowMs };
      const own = windowOf(address);
      const full = own.tries >= perAddress ? own : everybody.tries >= overall ? everybody : null;
      if (full !== null) return { kind: "wait", seconds: Math.ceil((full.endsAt - now()) / 1000) };
      own.tries++;
      everybody.tries++;
      return { kind: "go" };
    },
    giveBack: (address) => {
      const own = windowOf(address);
      own.tries = Math.max(0, own.tries - 1);
      everybody.tries = Math.max(0, everybody.tries - 1);
    },
  };
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
