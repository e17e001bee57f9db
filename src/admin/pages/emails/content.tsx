import { shownSize } from "../../format.ts";
import { isHtmlRemote } from "../../quiet-html.ts";
import type { OpenedContent, OpenedEmail } from "./open-email.ts";
import { emailPath } from "./row.tsx";

export const contentParts = ["html", "text", "headers", "source"] as const;
export type ContentPart = (typeof contentParts)[number];

const partNames: Record<ContentPart, string> = {
  html: "HTML",
  text: "Text",
  headers: "Headers",
  source: "Source",
};

/** More of a message's source is not shown: its file is a click away. */
const sourceCharsMax = 200_000;

export interface ContentProps {
  opened: OpenedEmail;
  part: ContentPart;
  /** Whether the frame is as narrow as a phone. */
  isPhone: boolean;
  /** Whether the message may fetch what it names. */
  isRemote: boolean;
}

/** The first part that is there, unless another was asked for. */
export function partOf(content: OpenedContent | null, asked: string | undefined): ContentPart {
  const present = content === null ? [] : presentParts(content);
  return present.find((part) => part === asked) ?? present[0] ?? "headers";
}

function presentParts({ parsed }: OpenedContent): ContentPart[] {
  return contentParts.filter((part) =>
    part === "html" || part === "text" ? parsed[part] !== null : true,
  );
}

export function Content(props: ContentProps) {
  const { opened, part } = props;
  const { content, email } = opened;
  if (content === null) return <NoContent opened={opened} />;
  const path = emailPath(email.id);
  return (
    <section class="card content" aria-label="Content">
      <Attachments opened={opened} content={content} />
      <div class="tabs-line">
        <nav class="tabs" aria-label="Parts of the message">
          {presentParts(content).map((name) => (
            <a href={`${path}?part=${name}`} aria-current={name === part ? "page" : undefined}>
              {partNames[name]}
            </a>
          ))}
        </nav>
        <a class="quiet" href={`${path}/raw`}>
          Download .eml
        </a>
      </div>
      <Part {...props} content={content} path={path} />
    </section>
  );
}

function Part(props: ContentProps & { content: OpenedContent; path: string }) {
  const { part, content } = props;
  switch (part) {
    case "html":
      return <HtmlPart {...props} />;
    case "text":
      return <pre class="text">{content.parsed.text}</pre>;
    case "headers":
      return (
        <dl class="headers">
          {content.parsed.headers.map(({ name, value }) => (
            <>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </>
          ))}
        </dl>
      );
    case "source":
      return <pre class="text source">{sourceOf(content.message)}</pre>;
  }
}

function HtmlPart(props: ContentProps & { content: OpenedContent; path: string }) {
  const { path, isPhone, isRemote, content } = props;
  const query = (phone: boolean, remote: boolean) =>
    `${path}?part=html${phone ? "&width=phone" : ""}${remote ? "&remote=true" : ""}`;
  return (
    <>
      <p class="frame-bar">
        <a href={query(false, isRemote)} aria-current={isPhone ? undefined : "true"}>
          600 px
        </a>
        <a href={query(true, isRemote)} aria-current={isPhone ? "true" : undefined}>
          Phone
        </a>
        {isHtmlRemote(content.parsed.html ?? "") && (
          <span class="remote">
            {isRemote ? "Remote images are shown. " : "Remote images are blocked. "}
            <a href={query(isPhone, !isRemote)}>{isRemote ? "Block them" : "Show them"}</a>
          </span>
        )}
      </p>
      <iframe
        class={isPhone ? "phone" : undefined}
        title="The message's HTML"
        src={`${path}/html${isRemote ? "?remote=true" : ""}`}
        sandbox="allow-popups allow-popups-to-escape-sandbox"
        referrerpolicy="no-referrer"
      />
    </>
  );
}

function Attachments({ opened, content }: { opened: OpenedEmail; content: OpenedContent }) {
  const { attachments } = content.parsed;
  if (attachments.length === 0) return null;
  return (
    <ul class="attachments" aria-label="Attachments">
      {attachments.map(({ filename, contentType, content: bytes }, index) => (
        <li>
          <a
            href={`${emailPath(opened.email.id)}/attachments/${index}`}
            title={`Save ${filename} (${contentType})`}
          >
            {filename}
          </a>{" "}
          <span class="quiet">{shownSize(bytes.length)}</span>
        </li>
      ))}
    </ul>
  );
}

function NoContent({ opened: { email, whyNot } }: { opened: OpenedEmail }) {
  const words = {
    destroyed: "Its content was destroyed, for good. What happened to it remains.",
    unreadable:
      "Its content does not open: its encryption key is missing, or it was changed outside this service. See ENCRYPTION_KEYS_OLD.",
    too_large: `It is ${shownSize(email.messageBytes)} large, too large to be shown here.`,
  }[whyNot ?? "destroyed"];
  return (
    <section class="card content empty" aria-label="Content">
      <p>{words}</p>
      {whyNot === "too_large" && <a href={`${emailPath(email.id)}/raw`}>Download .eml</a>}
    </section>
  );
}

function sourceOf(message: Uint8Array): string {
  const text = new TextDecoder().decode(message.subarray(0, sourceCharsMax));
  return message.length > sourceCharsMax ? `${text}\n… (the rest is in the file)` : text;
}
