import type { OpenedEmail } from "../content/encrypt-email.ts";
import type { ClaimedEmail, DueBatch } from "../store/attempts.ts";

/** As `claim_due` grants it; default: nobody died with it. */
export type Granted = ClaimedEmail &
  Partial<Pick<DueBatch["emails"][number], "isSuspect" | "isOneBlamed">>;

/** A claimed email in memory. */
export interface Buffered {
  readonly email: ClaimedEmail;
  /** In clear, of one that was accepted just now; null: to be decrypted. */
  readonly opened: OpenedEmail | null;
  /** Milliseconds since it was claimed. */
  heldMs(): number;
}

/** An email not handed out this long after its time is returned, so that other workers can take it. */
const pastMsMax = 10_000;

/** A place of the buffer: an email under one claim. */
export class Entry implements Buffered {
  isMany = false;
  isGone = false;
  private readonly takenAt: number;

  constructor(
    readonly email: Granted,
    readonly opened: OpenedEmail | null,
    readonly bytes: number,
    /** Nobody here answers for the claim from then on. */
    readonly drop: () => void,
    private readonly now: () => number,
  ) {
    this.takenAt = now();
  }

  heldMs(): number {
    return this.now() - this.takenAt;
  }

  isPast(): boolean {
    const { dueInMs, expiresInMs } = this.email;
    return this.heldMs() > Math.min(dueInMs + pastMsMax, expiresInMs ?? Number.POSITIVE_INFINITY);
  }
}
