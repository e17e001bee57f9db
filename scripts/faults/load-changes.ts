/** What a caller may ask of an email that was accepted, beside its cancel. */
export type ChangeKind = "hold" | "release" | "patch" | "replay" | "shred";

/** What a reader of the message sees; a PATCH names all of it, so that no mixture passes for one. */
export interface Content {
  subject: string;
  body: string;
  recipients: string[];
}

/** A change that was answered 200, or not answered. A refused one (4xx) changed nothing. */
export interface Change {
  emailId: string;
  kind: ChangeKind;
  /** Milliseconds since the epoch, by this machine's clock. */
  askedAt: number;
  /** When the 200 had arrived; null: no answer, or a 5xx, so it may have happened or not. */
  ackedAt: number | null;
  /** The new content; a PATCH only. */
  content: Content | null;
}

/** Asks the product for changes and remembers which it promised. Each answers with the status. */
export interface LoadChanges {
  readonly changes: Change[];
  hold(id: string): Promise<number>;
  release(id: string): Promise<number>;
  patch(id: string, content: Content): Promise<number>;
  /** Replays a dead letter, or a held email. */
  replay(id: string): Promise<number>;
  shred(id: string): Promise<number>;
}

/** Answers with the status; rejects when no answer came. */
export type Ask = (path: string, method: string, body?: unknown) => Promise<number>;

export function createLoadChanges(ask: Ask): LoadChanges {
  const changes: Change[] = [];

  async function change(
    { id, kind, content = null }: { id: string; kind: ChangeKind; content?: Content | null },
    path: string,
    method: string,
  ): Promise<number> {
    const asked: Change = { emailId: id, kind, askedAt: Date.now(), ackedAt: null, content };
    let status = 0;
    try {
      status = await ask(path, method, content ?? undefined);
    } catch {
      // No answer: nothing was promised, and everything may have happened.
    }
    if (status === 200) asked.ackedAt = Date.now();
    if (status === 200 || status === 0 || status >= 500) changes.push(asked);
    return status;
  }

  return {
    changes,
    hold: (id) => change({ id, kind: "hold" }, `/api/v1/emails/${id}/hold`, "POST"),
    release: (id) => change({ id, kind: "release" }, `/api/v1/emails/${id}/release`, "POST"),
    patch: (id, content) => change({ id, kind: "patch", content }, `/api/v1/emails/${id}`, "PATCH"),
    replay: (id) => change({ id, kind: "replay" }, `/api/v1/dead-letters/${id}/replay`, "POST"),
    shred: (id) => change({ id, kind: "shred" }, `/api/v1/emails/${id}/content`, "DELETE"),
  };
}
