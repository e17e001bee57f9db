import { expect } from "bun:test";
import type { EmailBench } from "./email-bench.ts";
import type { Model } from "./email-model.ts";

/** The invariants, after every command, for every email of the run. */
export async function compareEmails(model: Model, bench: EmailBench): Promise<void> {
  const rows = await bench.rows(model.emails.map(({ id }) => id));
  for (const email of model.emails) {
    const row = rows.get(email.id);
    // No row is ever lost, and it says what the model says.
    expect(
      row && {
        state: row.state,
        token: row.token,
        is_fenced: row.is_fenced && row.state === "sending",
        attempts: row.attempts,
        attempts_before: row.attempts_before,
        recipients: row.recipients,
      },
    ).toEqual({
      state: email.state,
      token: email.token,
      is_fenced: email.fencedAt !== null && email.state === "sending",
      attempts: email.attempts,
      attempts_before: email.attemptsBefore,
      recipients: email.recipients,
    });
    // The timeline has no gap, and one entry for each thing that happened.
    expect(row?.sequences).toEqual(Array.from({ length: email.entries }, (_, n) => n + 1));
    expect(row?.outcomes.length).toBe(email.attempts);
    expect(email.attempts - email.attemptsBefore).toBeLessThanOrEqual(email.maxRetries + 1);
  }
}
