import type { Principal } from "../auth/principal.ts";
import type { CapturedSummary } from "./captured-mails.ts";
import { shownSize, shownTime } from "./format.ts";
import { CommandLine, Page, type PauseNotice } from "./page.tsx";

/** What the example command is made of. */
export interface ExampleOptions {
  /** Where this server is reached. */
  baseUrl: string;
  /** How this program is called from a shell. */
  program: string;
}

export interface CapturedListPageProps {
  principal: Principal;
  pause: PauseNotice | null;
  mails: readonly CapturedSummary[];
  /** Most that are listed. */
  limit: number;
  example: ExampleOptions;
}

export function CapturedListPage({ principal, pause, ...list }: CapturedListPageProps) {
  return (
    <Page title="Captured mails" principal={principal} pause={pause}>
      <div class="heading">
        <h1>Captured mails</h1>
        <p>Nothing leaves this machine: every message stays here instead of being sent.</p>
      </div>
      <div class="card" data-refresh="/captured">
        <CapturedList {...list} />
      </div>
    </Page>
  );
}

/** The part that the page fetches again every two seconds. */
export function CapturedList({
  mails,
  limit,
  example,
}: Omit<CapturedListPageProps, "principal" | "pause">) {
  if (mails.length === 0) return <Empty example={example} />;
  return (
    <>
      <table class="mails">
        <thead>
          <tr>
            <th scope="col">Subject</th>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">Size</th>
            <th scope="col">Captured</th>
          </tr>
        </thead>
        <tbody>
          {mails.map((mail) => (
            <CapturedRow mail={mail} />
          ))}
        </tbody>
      </table>
      {mails.length === limit && <p class="more">The newest {limit} are shown.</p>}
    </>
  );
}

function CapturedRow({ mail }: { mail: CapturedSummary }) {
  const [first = "", ...others] = mail.recipients;
  return (
    <tr>
      <td class="subject">
        <a href={`/captured/${mail.emailId}`}>{mail.subject.trim() || "(no subject)"}</a>
      </td>
      <td class="from">{mail.from}</td>
      <td class="to" title={mail.recipients.join(", ")}>
        <span class="recipients">
          <span>{first}</span>
          {others.length > 0 && <span class="badge">+{others.length}</span>}
        </span>
      </td>
      <td class="size">{shownSize(mail.sizeBytes)}</td>
      <td class="at">
        <time datetime={mail.capturedAt.toISOString()}>{shownTime(mail.capturedAt)}</time>
      </td>
    </tr>
  );
}

function Empty({ example }: { example: ExampleOptions }) {
  return (
    <div class="empty">
      <img src="/favicon.svg" alt="" width="56" height="56" />
      <h2>No mail yet</h2>
      <p>Schedule one from a shell. It appears here as soon as its time has come.</p>
      <CommandLine id="schedule" command={scheduleCommandOf(example)} />
    </div>
  );
}

export function scheduleCommandOf({ baseUrl, program }: ExampleOptions): string {
  const body = { recipients: ["you@example.com"], subject: "Hello", body: "It works." };
  return [
    `curl ${baseUrl}/api/v1/schedule-mail`,
    `-H "Authorization: Bearer $(${program} token --sub you)"`,
    '-H "Content-Type: application/json"',
    `-d '${JSON.stringify(body)}'`,
  ].join(" \\\n  ");
}
