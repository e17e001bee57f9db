/** Answers of the HTTP API as the end-to-end tests read them; see API.md for what they mean. */

export interface AttemptAnswer {
  number: number;
  started_at: string;
  ended_at: string | null;
  outcome: string | null;
  smtp_code: number | null;
  enhanced_code: string | null;
  reply: string | null;
  transport: string;
  region: string;
}

export interface RecipientAnswer {
  address: string;
  kind: string;
  status: string;
  smtp_code: number | null;
  reply: string | null;
}

/** What `/status/{id}` and its relatives say of one email. */
export interface EmailAnswer {
  id: string;
  status: string;
  scheduled_at: string;
  next_attempt_at: string | null;
  sent_at: string | null;
  created_at: string;
  subject: string | null;
  region: string;
  version: number;
  attempts: AttemptAnswer[];
  recipients: RecipientAnswer[];
}

/** One entry of an email's timeline. */
export interface EventAnswer {
  sequence: number;
  at: string;
  action: string;
  actor: string;
}

export interface ApiAnswer<Data> {
  status: number;
  headers: Headers;
  /** The body as it came. */
  text: string;
  /** The parsed body; empty when it was no JSON. */
  body: {
    success: boolean;
    data: Data;
    code?: string;
    detail?: string;
    errors?: { pointer: string; detail: string }[];
  };
}
