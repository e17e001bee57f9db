import type { Principal } from "../auth/principal.ts";
import { type ExampleOptions, scheduleCommandOf } from "./captured-list.tsx";
import { CommandLine, Notice, Page, type PauseNotice } from "./page.tsx";

/** What keeps mails from getting out in time. */
export interface MailTrouble {
  /** None gets out; false: some do, or late. */
  isStopped: boolean;
  /** Why, and what to do; for a person. */
  words: string;
}

export interface ElsewherePageProps {
  principal: Principal;
  /** Where mails go, as `smtp.example.com:587`; null: they are captured, but not for this visitor. */
  transportName: string | null;
  trouble: MailTrouble | null;
  pause: PauseNotice | null;
  example: ExampleOptions;
}

/** What `/` says when there are no captured mails to show. */
export function ElsewherePage(props: ElsewherePageProps) {
  const { principal, transportName, trouble, pause, example } = props;
  return (
    <Page title="Welcome" principal={principal} pause={pause}>
      {trouble !== null && (
        <p class="trouble" role="alert">
          <strong>{trouble.isStopped ? "No mail gets out" : "Mail is late"}:</strong>{" "}
          {trouble.words}.
        </p>
      )}
      <Notice heading={headingOf(props)}>
        {transportName === null ? (
          <p>Nothing is sent. Captured mails show everybody's content, so only admins see them.</p>
        ) : (
          <p>
            They {isWaiting(props) ? "are to go" : "go"} out through <code>{transportName}</code>.
          </p>
        )}
        <p>Schedule an e-mail:</p>
        <CommandLine id="schedule" command={scheduleCommandOf(example)} />
        <p>See what became of yours:</p>
        <CommandLine id="list" command={listCommandOf(example)} />
      </Notice>
    </Page>
  );
}

function isWaiting({ trouble, pause }: ElsewherePageProps): boolean {
  return [trouble, pause].some((reason) => reason?.isStopped);
}

function headingOf(props: ElsewherePageProps): string {
  if (isWaiting(props)) return "Mails wait";
  const { transportName } = props;
  return transportName === null ? "Mails are captured" : "Mails are sent";
}

function listCommandOf({ baseUrl, program }: ExampleOptions): string {
  return [
    `curl ${baseUrl}/api/v1/scheduled-emails`,
    `-H "Authorization: Bearer $(${program} token --sub you)"`,
  ].join(" \\\n  ");
}
