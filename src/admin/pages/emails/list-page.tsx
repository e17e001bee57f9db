import type { Frame } from "../frame.tsx";
import { FramedPage } from "../frame.tsx";
import { counted } from "../words.ts";
import { bulkVerbs, verbsForAll, verbWords } from "./bulk-verbs.ts";
import { EmailRow, type ListedEmail } from "./row.tsx";
import type { Search } from "./search.ts";

export interface EmailsPageProps {
  frame: Frame;
  search: Search;
  emails: readonly ListedEmail[];
  /** Where the next page is; null: this is the last one. */
  nextPath: string | null;
  /** Whether this is a later page than the first. */
  isLater: boolean;
  /** The earliest due first, instead of the newest. */
  isByDue: boolean;
}

/** The questions that are asked most. */
const views = [
  { label: "All", text: "" },
  { label: "Scheduled", text: "status:pending" },
  { label: "Sent", text: "status:sent" },
  { label: "Deferred", text: "status:deferred" },
  { label: "Held", text: "status:held" },
  { label: "Failed", text: "status:failed,uncertain,partially_sent" },
] as const;

export function listPath(text: string, isByDue = false): string {
  const query = new URLSearchParams({
    ...(text === "" ? {} : { q: text }),
    ...(isByDue ? { sort: "due" } : {}),
  }).toString();
  return query === "" ? "/console/emails" : `/console/emails?${query}`;
}

export function EmailsPage(props: EmailsPageProps) {
  const { frame, search, emails, isByDue } = props;
  return (
    <FramedPage frame={frame} title="Emails" place="emails">
      <div class="heading">
        <h1>Emails</h1>
        <a class="button primary" href="/console/compose">
          Compose
        </a>
      </div>
      <SearchBox search={search} />
      <div class="views-line">
        <nav class="views" aria-label="Views">
          {views.map(({ label, text }) => (
            <a
              href={listPath(text, isByDue)}
              aria-current={text === search.text ? "page" : undefined}
            >
              {label}
            </a>
          ))}
        </nav>
        <nav class="views" aria-label="Order">
          <a href={listPath(search.text)} aria-current={isByDue ? undefined : "true"}>
            Newest first
          </a>
          <a href={listPath(search.text, true)} aria-current={isByDue ? "true" : undefined}>
            By due time
          </a>
        </nav>
      </div>
      {search.faults.map((fault) => (
        <p class="flash fault" role="alert">
          {fault}
        </p>
      ))}
      {emails.length === 0 ? <NoEmails {...props} /> : <EmailsTable {...props} />}
    </FramedPage>
  );
}

function SearchBox({ search }: { search: Search }) {
  return (
    <search>
      <form class="search" method="get" action="/console/emails">
        <input
          type="search"
          name="q"
          value={search.text}
          placeholder="to:bob@example.com status:failed tag:invoice before:2027-01-10"
          aria-label="Search emails"
          aria-describedby="search-help"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          maxlength={500}
        />
        <button type="submit">Search</button>
        <p class="search-help" id="search-help">
          {search.terms.length === 0
            ? "By to:, status:, tag:, after:, before:, metadata.key: or an email's id. Subjects and texts are encrypted and can't be searched."
            : search.terms.map(({ key, value, without }) => (
                <a class="chip" href={listPath(without)} title="Search without it">
                  {key}: <b>{value}</b>
                  <span aria-hidden="true"> ×</span>
                  <span class="unseen"> (remove)</span>
                </a>
              ))}
        </p>
      </form>
    </search>
  );
}

export function NoEmails({ search, isLater }: EmailsPageProps) {
  const isAll = search.text === "" && !isLater;
  return (
    <div class="card empty" data-live>
      <h2>{isAll ? "No emails yet" : "No email matches"}</h2>
      <p>
        {isAll ? (
          <>What you schedule appears here as soon as it is accepted.</>
        ) : (
          <a href="/console/emails">All emails</a>
        )}
      </p>
    </div>
  );
}

function EmailsTable(props: EmailsPageProps) {
  const { frame, search, nextPath, isLater, isByDue } = props;
  return (
    <form class="picking" method="post" action="/console/emails/bulk">
      <input type="hidden" name="q" value={search.text} />
      <fieldset class="actions-bar" aria-label="What to do with the selected emails">
        <span class="picked" data-picked>
          Selected:
        </span>
        {bulkVerbs.map((verb) => (
          <button type="submit" name="action" value={verb}>
            {verbWords[verb]}…
          </button>
        ))}
        <WholeFilter search={search} />
      </fieldset>
      <div class="card">
        <table class="emails">
          <thead>
            <tr>
              <th class="pick">
                <input type="checkbox" data-pick-all aria-label="Select all on this page" />
              </th>
              <th class="mark">
                <span class="unseen">State</span>
              </th>
              <th class="to">To</th>
              <th class="what">Subject</th>
              {frame.principal.isAdmin && <th class="owner">Owner</th>}
              <th class="note">Last reply</th>
              <th class="when">When</th>
            </tr>
          </thead>
          <EmailRows {...props} />
        </table>
      </div>
      <nav class="pager" aria-label="Pages of the list">
        {isLater && <a href={listPath(search.text, isByDue)}>← First page</a>}
        <span class="quiet">{counted(props.emails.length, "email")} shown</span>
        {nextPath !== null && (
          <a href={nextPath} rel="next">
            {isByDue ? "Later" : "Older"} →
          </a>
        )}
      </nav>
    </form>
  );
}

/** What may be done to all that match, of this page and of the others. */
function WholeFilter({ search }: { search: Search }) {
  const verbs = verbsForAll(search);
  if (verbs.length === 0) return null;
  return (
    <details class="menu whole">
      <summary class="button">All that match…</summary>
      <div class="sheet">
        <h2>Do it to all that match</h2>
        <p class="quiet">Of every page, and not only of this one. First you are told how many.</p>
        {verbs.map((verb) => (
          <button type="submit" name="action" value={`${verb}-all`}>
            {verbWords[verb]} all…
          </button>
        ))}
      </div>
    </details>
  );
}

/** The part that the page asks for again while somebody looks. */
export function EmailRows({ frame, emails, isLater }: EmailsPageProps) {
  return (
    <tbody data-live data-first={isLater ? undefined : "true"}>
      {emails.map((listed) => (
        <EmailRow listed={listed} frame={frame} />
      ))}
    </tbody>
  );
}
