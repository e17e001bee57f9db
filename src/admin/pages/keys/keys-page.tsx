import type { StoredApiKey } from "../../../store/api-keys.ts";
import { CommandLine } from "../../session/sign-in-page.tsx";
import { type Frame, FramedPage } from "../frame.tsx";
import { When } from "../when.tsx";
import { counted } from "../words.ts";
import { type KeyFields, keyEnds, keyScopes } from "./key-form.ts";

export interface KeysPageProps {
  frame: Frame;
  keys: readonly StoredApiKey[];
  fields: KeyFields;
  /** Of the next page; null: this is the last. */
  older: string | null;
  /** The key that was just made: its only showing. */
  made: { name: string; key: string } | null;
  fault: string | undefined;
}

export function KeysPage({ frame, keys, fields, older, made, fault }: KeysPageProps) {
  return (
    <FramedPage frame={frame} title="API keys" place="keys">
      <div class="heading">
        <div>
          <h1>API keys</h1>
          <p class="quiet">
            A program that presents a key acts as the key's owner, within its scopes. Only a hash of
            each is stored.
          </p>
        </div>
      </div>
      {fault !== undefined && (
        <p class="flash fault" role="alert">
          {fault}
        </p>
      )}
      {made !== null && <Made {...made} />}
      <CreateForm frame={frame} fields={fields} />
      {keys.length === 0 ? (
        <div class="card empty">
          <h2>No keys yet</h2>
          <p>Create one for each program, so that each can be revoked alone.</p>
        </div>
      ) : (
        <KeyTable frame={frame} keys={keys} />
      )}
      {keys.length > 0 && (
        <nav class="pager" aria-label="Pages of keys">
          <span class="quiet">{counted(keys.length, "key")} shown</span>
          {older !== null && (
            <a href={older} rel="next">
              Older →
            </a>
          )}
        </nav>
      )}
    </FramedPage>
  );
}

function Made({ name, key }: { name: string; key: string }) {
  return (
    <section class="card once" aria-labelledby="made">
      <h2 id="made">The key “{name}”</h2>
      <p>Copy it now: it is shown this once and kept nowhere.</p>
      <CommandLine id="made-key" command={key} />
    </section>
  );
}

function CreateForm({ frame, fields }: { frame: Frame; fields: KeyFields }) {
  const scopes = keyScopes.filter((scope) => scope !== "admin" || frame.principal.isAdmin);
  return (
    <form class="card create" method="post" action="/console/keys">
      <label class="grows">
        Name
        <input
          name="name"
          value={fields.name}
          placeholder="What it is for, such as: shop backend"
          required
          maxlength={100}
          autocomplete="off"
        />
      </label>
      <fieldset>
        <legend>Scopes</legend>
        {scopes.map((scope) => (
          <label class="tick">
            <input
              type="checkbox"
              name="scopes"
              value={scope}
              checked={fields.scopes.includes(scope)}
            />
            {scope}
          </label>
        ))}
      </fieldset>
      <label>
        Expires
        <select name="ends">
          {keyEnds.map(({ name, words }) => (
            <option value={name} selected={name === fields.ends}>
              {words}
            </option>
          ))}
        </select>
      </label>
      <button class="primary" type="submit">
        Create key
      </button>
    </form>
  );
}

function KeyTable({ frame, keys }: { frame: Frame; keys: readonly StoredApiKey[] }) {
  const { isAdmin } = frame.principal;
  return (
    <section class="card wide objects" aria-label="API keys">
      <table>
        <thead>
          <tr>
            <th>Name</th>
            <th>Key</th>
            {isAdmin && <th>Owner</th>}
            <th>Scopes</th>
            <th>Created</th>
            <th>Last used</th>
            <th>Expires</th>
            <th>
              <span class="unseen">Action</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {keys.map((key) => (
            <KeyRow frame={frame} apiKey={key} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function KeyRow({ frame, apiKey }: { frame: Frame; apiKey: StoredApiKey }) {
  const { id, name, prefix, ownerId, scopes, createdAt, lastUsedAt, revokedAt } = apiKey;
  return (
    <tr class={isOver(apiKey, frame) ? "over" : undefined}>
      <td class="name">{name}</td>
      <td>
        <code>{prefix}…</code>
      </td>
      {frame.principal.isAdmin && <td>{ownerId}</td>}
      <td>{scopes.join(", ")}</td>
      <td>
        <When at={createdAt} frame={frame} form="day" />
      </td>
      <td>{lastUsedAt === null ? "never" : <When at={lastUsedAt} frame={frame} form="row" />}</td>
      <td>
        <End frame={frame} apiKey={apiKey} />
      </td>
      <td class="do">
        {revokedAt === null && (
          <a class="button" href={`/console/keys/${id}/revoke`} aria-label={`Revoke ${name}`}>
            Revoke…
          </a>
        )}
      </td>
    </tr>
  );
}

function End({ frame, apiKey }: { frame: Frame; apiKey: StoredApiKey }) {
  const { expiresAt, revokedAt } = apiKey;
  if (revokedAt !== null) {
    return (
      <>
        revoked <When at={revokedAt} frame={frame} form="row" />
      </>
    );
  }
  if (expiresAt === null) return <>never</>;
  return (
    <>
      {isOver(apiKey, frame) && "expired "}
      <When at={expiresAt} frame={frame} form="row" />
    </>
  );
}

function isOver({ expiresAt, revokedAt }: StoredApiKey, { now }: Frame): boolean {
  return revokedAt !== null || (expiresAt !== null && expiresAt <= now);
}

/** Says what revoking does, and asks. */
export function RevokePage({ frame, apiKey }: { frame: Frame; apiKey: StoredApiKey }) {
  const { id, name, prefix, lastUsedAt } = apiKey;
  return (
    <FramedPage frame={frame} title="Revoke a key" place="keys">
      <section class="card notice">
        <h1>Revoke “{name}”?</h1>
        <p>
          Programs that use <code>{prefix}…</code> are refused within two seconds. This can't be
          undone; emails that were scheduled with it still go out.
        </p>
        <p>
          Last used:{" "}
          {lastUsedAt === null ? "never" : <When at={lastUsedAt} frame={frame} form="full" />}
        </p>
        <form class="decide" method="post" action={`/console/keys/${id}/revoke`}>
          <button class="danger" type="submit">
            Revoke key
          </button>
          <a class="button" href="/console/keys">
            Back
          </a>
        </form>
      </section>
    </FramedPage>
  );
}
