import { AppError } from "../../errors.ts";

/** What a body has to keep to while it is read: its bytes are memory that others could use. */
export interface BodyPace {
  /** The next of the body; rejects with `request_timeout` when that is too slow, or too late. */
  next<T>(step: Promise<T>): Promise<T>;
  /** Bytes that came. */
  count(bytes: number): void;
  end(): void;
}

/** The whole of 36 MB at 1 Mbit/s, which is a slow line, takes 290 s. */
const deadlineMs = 300_000;
/** For a body so small that one packet or two hold it. */
const smallDeadlineMs = 10_000;
/** In every stretch of so many seconds this much has to come: 64 kbit/s, a modem's. */
const stretchMs = 5_000;
const bytesPerStretch = 8 * 1024 * (stretchMs / 1_000);

export interface BodyPaceOptions {
  isSmall: boolean;
  /** For tests; default: the figures above. */
  stretchMs?: number;
}

export function createBodyPace({
  isSmall,
  stretchMs: everyMs = stretchMs,
}: BodyPaceOptions): BodyPace {
  const late = Promise.withResolvers<never>();
  // Nobody need be listening when it comes.
  late.promise.catch(() => {});
  let came = 0;
  const stretches = setInterval(() => {
    if (!isSmall && came < bytesPerStretch) late.reject(tooSlow());
    came = 0;
  }, everyMs);
  const deadline = setTimeout(() => late.reject(tooSlow()), isSmall ? smallDeadlineMs : deadlineMs);
  return {
    next: (step) => Promise.race([step, late.promise]),
    count: (bytes) => {
      came += bytes;
    },
    end: () => {
      clearInterval(stretches);
      clearTimeout(deadline);
    },
  };
}

function tooSlow(): AppError {
  const rate = `${bytesPerStretch / 1024} kB in every ${stretchMs / 1_000} s`;
  return new AppError("request_timeout", {
    publicDetail:
      `The body is expected at ${rate} at least, and as a whole within ${deadlineMs / 1_000} s ` +
      `(a small one within ${smallDeadlineMs / 1_000} s); nothing was stored.`,
  });
}
