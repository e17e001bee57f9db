import type { ProvenEntry } from "../../../store/journal.ts";
import { emailPath } from "../emails/row.tsx";
import { type Frame, FramedPage } from "../frame.tsx";
import { When } from "../when.tsx";
import { counted } from "../words.ts";

export interface Verdict {
  isOk: boolean;
  checked: number;
  words: string;
}

export interface AuditPageProps {
  frame: Frame;
  asked: { email: string; action: string; actor: string };
  entries: readonly ProvenEntry[];
  older: string | null;
  exportPath: string;
  /** null: nobody asked for it. */
  verdict: Verdict | null;
}

export function AuditPage({ frame, asked, entries, older, exportPath, verdict }: AuditPageProps) {
  return (
    <FramedPage frame={frame} title="Audit" place="audit">
      <div class="heading">
        <div>
          <h1>Audit</h1>
          <p class="quiet">
            What was done, by whom and from where. Each entry is sealed by the hash of the one
            before.
          </p>
        </div>
        <div class="actions">
          <a class="button" href={exportPath}>
            Export
          </a>
          <a class="button primary" href="/console/audit?verify=true">
            Verify
          </a>
        </div>
      </div>
      {verdict !== null && <VerdictLine verdict={verdict} />}
      <form class="filters" method="get" action="/console/audit">
        <label>
          Action
          <input name="action" value={asked.action} placeholder="email.cancelled" />
        </label>
        <label>
          Who
          <input name="actor" value={asked.actor} placeholder="ada" />
        </label>
        <label>
          Email
          <input name="email" value={asked.email} placeholder="its id" />
        </label>
        <button type="submit">Filter</button>
      </form>
      {entries.length === 0 ? (
        <div class="card empty">
          <h2>No entry matches</h2>
          <p>
            <a href="/console/audit">All entries</a>
          </p>
        </div>
      ) : (
        <div class="card wide audit">
          <table>
            <thead>
              <tr>
                <th>Position</th>
                <th>When</th>
                <th>Who</th>
                <th>What</th>
                <th>Email</th>
                <th>Detail</th>
              </tr>
            </thead>
            <tbody>
              {entries.map((entry) => (
                <Entry entry={entry} frame={frame} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <nav class="pager" aria-label="Pages of the journal">
        <span class="quiet">{counted(entries.length, "entry", "entries")} shown</span>
        {older !== null && (
          <a href={older} rel="next">
            Older →
          </a>
        )}
      </nav>
    </FramedPage>
  );
}

function VerdictLine({ verdict: { isOk, checked, words } }: { verdict: Verdict }) {
  return isOk ? (
    <p class="flash done" role="status">
      The journal is whole: {counted(checked, "entry", "entries")} checked.
    </p>
  ) : (
    <p class="flash fault" role="alert">
      The journal was changed at {words} ({counted(checked, "entry", "entries")} were checked).
    </p>
  );
}

function Entry({ entry, frame }: { entry: ProvenEntry; frame: Frame }) {
  const { position, at, actor, origin, action, emailId, detail } = entry;
  return (
    <tr>
      <td>{position}</td>
      <td>
        <When at={new Date(at)} frame={frame} form="absolute" />
      </td>
      <td title={origin === null ? undefined : `from ${origin}`}>{actor}</td>
      <td>{action}</td>
      <td>
        {emailId !== null && (
          <a href={emailPath(emailId)} title={emailId}>
            …{emailId.slice(-8)}
          </a>
        )}
      </td>
      <td>
        <code>{JSON.stringify(detail)}</code>
      </td>
    </tr>
  );
}
