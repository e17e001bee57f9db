import { shownSize } from "../../format.ts";
import { type Frame, FramedPage } from "../frame.tsx";
import type { ComposeFields } from "./compose-form.ts";

export interface ComposePageProps {
  frame: Frame;
  fields: ComposeFields;
  /** The email that is edited; null: a new one. */
  edited: EditedEmail | null;
  /** Those of the email that it is made from; each can be left out. */
  attachments: readonly KeptAttachment[];
  /** Sender unless the form names another; null: it must. */
  sender: string | null;
  fault?: string | undefined;
}

export interface EditedEmail {
  id: string;
  version: number;
  /** A dead letter, which is sent again once it is edited. */
  isReplay: boolean;
}

export interface KeptAttachment {
  filename: string;
  sizeBytes: number;
  isKept: boolean;
}

const titles = { compose: "Compose", edit: "Edit", replay: "Edit and replay" } as const;
const verbs = { compose: "Schedule", edit: "Save", replay: "Replay" } as const;

const withoutDate = {
  compose: "it goes out as soon as it is accepted",
  edit: "its time stays as it is",
  replay: "it goes out at once",
} as const;

export function ComposePage(props: ComposePageProps) {
  const { frame, fields, edited, attachments, sender, fault } = props;
  const way = edited === null ? "compose" : edited.isReplay ? "replay" : "edit";
  const title = titles[way];
  const path = edited === null ? "/console/compose" : `/console/emails/${edited.id}/edit`;
  return (
    <FramedPage frame={frame} title={title} place="compose">
      <form
        class="compose"
        method="post"
        action={path}
        enctype="multipart/form-data"
        data-preview="true"
      >
        <div class="heading">
          <h1>{title}</h1>
          <button class="primary" type="submit">
            {verbs[way]}
          </button>
        </div>
        {fault !== undefined && (
          <p class="flash fault" role="alert">
            {fault}
          </p>
        )}
        {way === "replay" && (
          <p class="quiet">
            It goes to those who have not got it. Whoever has stays on its lists, and gets no second
            one.
          </p>
        )}
        <input type="hidden" name="key" value={fields.key} />
        <input type="hidden" name="copy" value={fields.copy} />
        {edited !== null && <input type="hidden" name="version" value={String(edited.version)} />}
        {edited?.isReplay && <input type="hidden" name="replay" value="true" />}
        <div class="compose-columns">
          <div class="card compose-fields">
            <Field name="to" label="To" value={fields.to} hint="Parted by commas" isRequired />
            <details open={fields.cc !== "" || fields.bcc !== "" || fields.from !== ""}>
              <summary>Cc, Bcc, From</summary>
              <Field name="cc" label="Cc" value={fields.cc} />
              <Field name="bcc" label="Bcc" value={fields.bcc} />
              <Field name="from" label="From" value={fields.from} hint={sender ?? ""} />
            </details>
            <Field name="subject" label="Subject" value={fields.subject} isRequired />
            <label>
              Text
              <textarea name="text" rows={8}>
                {fields.text}
              </textarea>
            </label>
            <label>
              HTML
              <textarea name="html" class="code" rows={8} spellcheck={false}>
                {fields.html}
              </textarea>
            </label>
            <Attachments attachments={attachments} />
            <Field name="tags" label="Tags" value={fields.tags} hint="Parted by spaces" />
            <When fields={fields} without={withoutDate[way]} />
          </div>
          <Preview isNew={edited === null} />
        </div>
      </form>
    </FramedPage>
  );
}

function Attachments({ attachments }: { attachments: readonly KeptAttachment[] }) {
  return (
    <fieldset class="attach">
      <legend>Attachments</legend>
      {attachments.length > 0 && <input type="hidden" name="asks_keep" value="true" />}
      {attachments.map(({ filename, sizeBytes, isKept }, place) => (
        <label class="tick">
          <input type="checkbox" name="keep" value={String(place)} checked={isKept} />
          {filename} <span class="quiet">{shownSize(sizeBytes)}, as in the email before</span>
        </label>
      ))}
      <label>
        <span class="unseen">Files</span>
        <input type="file" name="files" multiple />
      </label>
      <p class="quiet">At most 20, and 25 MB together.</p>
    </fieldset>
  );
}

interface FieldProps {
  name: keyof ComposeFields;
  label: string;
  value: string;
  hint?: string;
  isRequired?: boolean;
}

function Field({ name, label, value, hint = "", isRequired = false }: FieldProps) {
  return (
    <label>
      {label}
      <input
        name={name}
        value={value}
        placeholder={hint}
        required={isRequired}
        autocomplete="off"
      />
    </label>
  );
}

function When({ fields, without }: { fields: ComposeFields; without: string }) {
  return (
    <fieldset class="when-fields">
      <legend>When</legend>
      <label>
        Date and time
        <input type="datetime-local" name="at" value={fields.at} />
      </label>
      <label>
        Time zone
        <input name="zone" value={fields.zone} required />
      </label>
      <p class="quiet">Without a date {without}.</p>
    </fieldset>
  );
}

/** The dry run of the same form, shown in a frame of its own; works without scripts. */
function Preview({ isNew }: { isNew: boolean }) {
  const preview = {
    type: "submit",
    formaction: "/console/compose/preview",
    formtarget: "preview",
    formnovalidate: true,
  } as const;
  return (
    <section class="card compose-preview" aria-labelledby="preview">
      <header>
        <h2 id="preview">Preview</h2>
        <button {...preview} data-preview-button>
          Show it
        </button>
      </header>
      <iframe
        name="preview"
        title="Preview of the email"
        sandbox="allow-popups allow-popups-to-escape-sandbox"
      />
      {isNew && (
        <details class="try">
          <summary>Send a test…</summary>
          <label>
            To
            <input name="test_to" type="email" placeholder="you@example.com" autocomplete="email" />
          </label>
          <button type="submit" formaction="/console/compose/test" formnovalidate>
            Send a test now
          </button>
        </details>
      )}
    </section>
  );
}
