import type { Principal } from "../auth/principal.ts";
import { type ExampleOptions, scheduleCommandOf } from "./captured-list.tsx";
import { CommandLine, Notice, Page } from "./page.tsx";

export interface ElsewherePageProps {
  principal: Principal;
  /** Where mails go, as `smtp.example.com:587`; null: they are captured, but not for this visitor. */
  transportName: string | null;
  /** Why nothing gets out at the moment, for a person; null: it does. */
  trouble: string | null;
  example: ExampleOptions;
}

/** What `/` says when there are no captured mails to show. */
export function ElsewherePage(props: ElsewherePageProps) {
  const { principal, transportName, trouble, example } = props;
  return (
    <Page title="Welcome" principal={principal}>
      {trouble !== null && (
        <p class="trouble" role="alert">
          <strong>No mail gets out:</strong> {trouble}.
        </p>
      )}
      <Notice heading={transportName === null ? "Mails are captured" : "Mails are sent"}>
        {transportName === null ? (
          <p>Nothing is sent. Captured mails show everybody's content, so only admins see them.</p>
        ) : (
          <p>
            They go out through <code>{transportName}</code>.
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

function listCommandOf({ baseUrl, program }: ExampleOptions): string {
  return [
    `curl ${baseUrl}/api/v1/scheduled-emails`,
    `-H "Authorization: Bearer $(${program} token --sub you)"`,
  ].join(" \\\n  ");
}
