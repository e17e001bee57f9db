import { showMailbox } from "../../../email/mailbox.ts";
import type { StoredRecipient } from "../../../store/stored-email.ts";
import { shownSize } from "../../format.ts";
import { type Frame, FramedPage } from "../frame.tsx";
import { StateMark } from "../icons.tsx";
import { When } from "../when.tsx";
import { absoluteWords, counted, shownDuration, shownStateOf } from "../words.ts";
import { Actions } from "./actions.tsx";
import { Content, type ContentProps } from "./content.tsx";
import { Life } from "./life.tsx";
import { listPath } from "./list-page.tsx";
import type { OpenedEmail } from "./open-email.ts";
import { subjectOf } from "./row.tsx";

export interface EmailPageProps extends ContentProps {
  frame: Frame;
  /** Why what was asked for was not done. */
  fault?: string | undefined;
}

export function EmailPage(props: EmailPageProps) {
  const { frame, opened, fault } = props;
  const subject = subjectOf(opened.decrypted);
  return (
    <FramedPage frame={frame} title={subject} place="emails" isLive>
      <nav class="back">
        <a href="/console/emails">← Emails</a>
      </nav>
      {fault !== undefined && (
        <p class="flash fault" role="alert">
          {fault}
        </p>
      )}
      <div class="heading email-heading">
        <div>
          <h1>{subject}</h1>
          <StatusLine opened={opened} frame={frame} />
        </div>
        <Actions opened={opened} frame={frame} />
      </div>
      <div class="email-columns">
        <Content {...props} />
        <div class="aside" data-live>
          <Life opened={opened} frame={frame} />
          <Facts opened={opened} frame={frame} />
        </div>
      </div>
      <Journal opened={opened} frame={frame} />
    </FramedPage>
  );
}

interface OpenedProps {
  opened: OpenedEmail;
  frame: Frame;
}

/** How it stands, in one line. */
function StatusLine({ opened: { email }, frame }: OpenedProps) {
  return (
    <p class="status-line" data-live data-version={email.version}>
      <StateMark state={shownStateOf(email)} isNamed />
      <StatusWords opened={email} frame={frame} />
    </p>
  );
}

function StatusWords({ opened: email, frame }: { opened: OpenedEmail["email"]; frame: Frame }) {
  switch (email.status) {
    case "pending":
      return (
        <span>
          {email.attemptsSpent === 0 ? "goes out " : "is tried again "}
          <When at={email.nextAttemptAt ?? email.scheduledAt} frame={frame} />
        </span>
      );
    case "sending":
      return <span>at this moment</span>;
    case "sent":
      return (
        <span>
          <When at={email.sentAt ?? email.scheduledAt} frame={frame} />
          {email.sentAt !== null && ` · ${latenessWords(email.sentAt, email.scheduledAt)}`}
        </span>
      );
    case "held":
      return (
        <span>
          until somebody releases it; due <When at={email.scheduledAt} frame={frame} />
        </span>
      );
    case "partially_sent":
    case "failed":
    case "uncertain":
    case "cancelled":
    case "expired":
    case "suppressed":
      return (
        <span>
          was due <When at={email.scheduledAt} frame={frame} />
        </span>
      );
  }
}

function latenessWords(sentAt: Date, scheduledAt: Date): string {
  return `${shownDuration(sentAt.getTime() - scheduledAt.getTime())} after its time`;
}

const kindWords = { to: "To", cc: "Cc", bcc: "Bcc" } as const;

function Facts({ opened, frame }: OpenedProps) {
  const { email, decrypted, details, content } = opened;
  const kinds = (["to", "cc", "bcc"] as const).filter((kind) =>
    decrypted.recipients.some((recipient) => recipient.kind === kind),
  );
  return (
    <section class="card facts-card" aria-label="Facts">
      <dl class="facts">
        {frame.principal.isAdmin && (
          <>
            <dt>Owner</dt>
            <dd>{email.ownerId}</dd>
          </>
        )}
        <dt>From</dt>
        <dd>{details === null ? (content?.parsed.from ?? "–") : showMailbox(details.from)}</dd>
        {kinds.map((kind) => (
          <>
            <dt>{kindWords[kind]}</dt>
            <dd>
              {decrypted.recipients
                .filter((recipient) => recipient.kind === kind)
                .map((recipient) => (
                  <Recipient recipient={recipient} />
                ))}
            </dd>
          </>
        ))}
        <dt>Due</dt>
        <dd>
          <When at={email.scheduledAt} frame={frame} />
        </dd>
        <dt>Accepted</dt>
        <dd>
          <When at={email.createdAt} frame={frame} />
        </dd>
        {email.expiresAt !== null && (
          <>
            <dt>Expires</dt>
            <dd>
              {absoluteWords(email.expiresAt, frame)}, then {email.onLate}
            </dd>
          </>
        )}
        <dt>Retries</dt>
        <dd>at most {email.maxRetries}</dd>
        {email.tags.length > 0 && (
          <>
            <dt>Tags</dt>
            <dd>
              {email.tags.map((tag) => (
                <a class="tag" href={listPath(`tag:${quoted(tag)}`)}>
                  {tag}
                </a>
              ))}
            </dd>
          </>
        )}
        {Object.keys(email.metadata).length > 0 && (
          <>
            <dt>Metadata</dt>
            <dd>
              <code>{JSON.stringify(email.metadata)}</code>
            </dd>
          </>
        )}
        <dt>Size</dt>
        <dd>{shownSize(email.messageBytes)}</dd>
        <dt>Region</dt>
        <dd>{email.region}</dd>
        <dt>Id</dt>
        <dd>
          <code id="email-id">{email.id}</code>
          <button class="copy" type="button" data-copy="email-id">
            Copy
          </button>
        </dd>
      </dl>
    </section>
  );
}

function quoted(value: string): string {
  return /\s/.test(value) ? `"${value}"` : value;
}

function Recipient({ recipient }: { recipient: StoredRecipient }) {
  const { address, status, smtpCode, enhancedCode, reply } = recipient;
  const isPlain = status === "pending" || status === "sent";
  const said = [smtpCode, enhancedCode, reply].filter((part) => part != null).join(" ");
  return (
    <span class="recipient">
      <span class="address">{address ?? "–"}</span>
      {status !== "pending" && <span class={`tag recipient-${status}`}>{status}</span>}
      {!isPlain && said !== "" && (
        <span class="reply short" title={said}>
          {said}
        </span>
      )}
    </span>
  );
}

function Journal({ opened: { events }, frame }: OpenedProps) {
  return (
    <details class="card journal" data-live>
      <summary>
        <h2>Journal</h2> <span class="quiet">{counted(events.length, "entry", "entries")}</span>
      </summary>
      <div class="wide">
        <table>
          <thead>
            <tr>
              <th>#</th>
              <th>When</th>
              <th>Who</th>
              <th>What</th>
              <th>Detail</th>
            </tr>
          </thead>
          <tbody>
            {events.map(({ sequence, at, actor, action, detail }) => (
              <tr>
                <td>{sequence}</td>
                <td>
                  <When at={at} frame={frame} form="absolute" />
                </td>
                <td>{actor}</td>
                <td>{action}</td>
                <td>
                  <code>{JSON.stringify(detail)}</code>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
