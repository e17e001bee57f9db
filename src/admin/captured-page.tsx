import type { Principal } from "../auth/principal.ts";
import type { CapturedMail } from "./captured-mails.ts";
import { shownSize, shownTime } from "./format.ts";
import { Page, type PauseNotice } from "./page.tsx";
import type { ParsedMessage } from "./parsed-message.ts";

export const messageParts = ["html", "text", "headers"] as const;
export type MessagePart = (typeof messageParts)[number];

export interface CapturedPageProps {
  principal: Principal;
  pause: PauseNotice | null;
  emailId: string;
  mail: CapturedMail;
  message: ParsedMessage;
  part: MessagePart;
}

export function CapturedPage(props: CapturedPageProps) {
  const { principal, pause, emailId, mail, message, part } = props;
  const path = `/captured/${emailId}`;
  const subject = message.subject.trim() || "(no subject)";
  return (
    <Page title={subject} principal={principal} pause={pause}>
      <nav class="back">
        <a href="/">← All mails</a>
      </nav>
      <article class="card mail">
        <header>
          <h1>{subject}</h1>
          <a class="button" href={`${path}/raw`}>
            Download .eml
          </a>
        </header>
        <Facts mail={mail} message={message} emailId={emailId} />
        <Attachments path={path} message={message} />
        <Tabs path={path} message={message} part={part} />
        <Part path={path} message={message} part={part} />
      </article>
    </Page>
  );
}

function Facts({
  mail,
  message,
  emailId,
}: Pick<CapturedPageProps, "mail" | "message" | "emailId">) {
  const capturedAt = new Date(mail.envelope.captured_at);
  return (
    <dl class="facts">
      <dt>From</dt>
      <dd>{message.from || mail.envelope.from}</dd>
      <dt>To</dt>
      <dd>{message.to || "–"}</dd>
      {message.cc !== "" && (
        <>
          <dt>Cc</dt>
          <dd>{message.cc}</dd>
        </>
      )}
      <dt>Envelope</dt>
      <dd>
        {mail.envelope.from || "<>"} → {mail.envelope.recipients.join(", ")}
      </dd>
      <dt>Captured</dt>
      <dd>
        <time datetime={capturedAt.toISOString()}>{shownTime(capturedAt)}</time>
        {` · ${shownSize(mail.message.length)}`}
      </dd>
      <dt>E-mail</dt>
      <dd>
        <code>{emailId}</code>
      </dd>
    </dl>
  );
}

interface MessageProps {
  path: string;
  message: ParsedMessage;
}

function Attachments({ path, message }: MessageProps) {
  if (message.attachments.length === 0) return null;
  return (
    <ul class="attachments" aria-label="Attachments">
      {message.attachments.map(({ filename, contentType, content }, index) => (
        <li>
          <a href={`${path}/attachments/${index}`} title={contentType}>
            {filename}
          </a>{" "}
          <span class="quiet">{shownSize(content.length)}</span>
        </li>
      ))}
    </ul>
  );
}

const partNames: Record<MessagePart, string> = { html: "HTML", text: "Text", headers: "Headers" };

function Tabs({ path, message, part }: MessageProps & { part: MessagePart }) {
  const present = messageParts.filter((name) => hasPart(message, name));
  return (
    <nav class="tabs" aria-label="Parts of the message">
      {present.map((name) => (
        <a href={`${path}?part=${name}`} aria-current={name === part ? "page" : undefined}>
          {partNames[name]}
        </a>
      ))}
    </nav>
  );
}

export function hasPart(message: ParsedMessage, part: MessagePart): boolean {
  return part === "headers" || message[part] !== null;
}

function Part({ path, message, part }: MessageProps & { part: MessagePart }) {
  switch (part) {
    case "html":
      return (
        <iframe
          title="The message's HTML"
          src={`${path}/html`}
          sandbox="allow-popups allow-popups-to-escape-sandbox"
          referrerpolicy="no-referrer"
        />
      );
    case "text":
      return <pre class="text">{message.text}</pre>;
    case "headers":
      return (
        <pre class="text">
          {message.headers.map(({ name, value }) => `${name}: ${value}`).join("\n")}
        </pre>
      );
  }
}
