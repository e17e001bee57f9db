import type { StoredWebhook } from "../../../store/webhooks.ts";
import { type Frame, FramedPage } from "../frame.tsx";
import { When } from "../when.tsx";
import { counted } from "../words.ts";
import { emailWishes, systemWishes, type WebhookFields } from "./webhook-form.ts";

export interface WebhooksPageProps {
  frame: Frame;
  webhooks: readonly StoredWebhook[];
  fields: WebhookFields;
  /** Of the next page; null: this is the last. */
  older: string | null;
  fault: string | undefined;
}

export const webhookPath = (id: string) => `/console/webhooks/${id}`;

export function WebhooksPage({ frame, webhooks, fields, older, fault }: WebhooksPageProps) {
  return (
    <FramedPage frame={frame} title="Webhooks" place="webhooks">
      <div class="heading">
        <div>
          <h1>Webhooks</h1>
          <p class="quiet">
            What happens to emails is told to your endpoints, signed, and again until it is taken.{" "}
            <a href="/docs/webhooks">How to receive it</a>
          </p>
        </div>
      </div>
      {fault !== undefined && (
        <p class="flash fault" role="alert">
          {fault}
        </p>
      )}
      <CreateForm frame={frame} fields={fields} />
      {webhooks.length === 0 ? (
        <div class="card empty">
          <h2>No webhooks yet</h2>
          <p>Create one with the address of your receiver, then send it a test.</p>
        </div>
      ) : (
        <WebhookTable frame={frame} webhooks={webhooks} />
      )}
      {webhooks.length > 0 && (
        <nav class="pager" aria-label="Pages of webhooks">
          <span class="quiet">{counted(webhooks.length, "webhook")} shown</span>
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

function CreateForm({ frame, fields }: { frame: Frame; fields: WebhookFields }) {
  const { isAdmin } = frame.principal;
  const isUsual = fields.events.length === 1 && fields.events[0] === "email.*";
  return (
    <form class="card create" method="post" action="/console/webhooks">
      <UrlAndTags fields={fields} />
      <button class="primary" type="submit">
        Create webhook
      </button>
      <details class="whole" open={!isUsual || fields.isGlobal}>
        <summary>Which events: all of emails (untick email.* to choose)</summary>
        <Wishes fields={fields} isSystem={isAdmin} />
        {isAdmin && (
          <label class="tick">
            <input type="checkbox" name="all_owners" value="true" checked={fields.isGlobal} />
            Of every owner; only so does it hear of system events
          </label>
        )}
        <DescriptionField fields={fields} />
      </details>
    </form>
  );
}

export function UrlAndTags({ fields }: { fields: WebhookFields }) {
  return (
    <>
      <label class="grows">
        URL
        <input
          name="url"
          type="url"
          value={fields.url}
          placeholder="https://example.com/hooks/mailer"
          required
          autocomplete="off"
        />
      </label>
      <label>
        Tags
        <input name="tags" value={fields.tags} placeholder="any email" autocomplete="off" />
      </label>
    </>
  );
}

/** `isSystem`: events of the service are offered as well. */
export function Wishes({ fields, isSystem }: { fields: WebhookFields; isSystem: boolean }) {
  const wishes = isSystem ? [...emailWishes, ...systemWishes] : emailWishes;
  return (
    <fieldset class="wishes">
      <legend class="unseen">Events</legend>
      {wishes.map((wish) => (
        <label class="tick">
          <input
            type="checkbox"
            name="events"
            value={wish}
            checked={fields.events.includes(wish)}
          />
          {wish}
        </label>
      ))}
    </fieldset>
  );
}

export function DescriptionField({ fields }: { fields: WebhookFields }) {
  return (
    <label class="description">
      Description
      <input
        name="description"
        value={fields.description}
        placeholder="what it is for"
        maxlength={500}
        autocomplete="off"
      />
    </label>
  );
}

function WebhookTable({ frame, webhooks }: { frame: Frame; webhooks: readonly StoredWebhook[] }) {
  const { isAdmin } = frame.principal;
  return (
    <section class="card wide objects" aria-label="Webhooks">
      <table>
        <thead>
          <tr>
            <th>URL</th>
            {isAdmin && <th>Owner</th>}
            <th>Events</th>
            <th>Enabled</th>
            <th>Lately</th>
          </tr>
        </thead>
        <tbody>
          {webhooks.map((webhook) => (
            <tr class={webhook.isEnabled ? undefined : "over"}>
              <td class="name">
                <a href={webhookPath(webhook.id)}>{webhook.url}</a>
                {webhook.description !== null && (
                  <span class="quiet described">{webhook.description}</span>
                )}
              </td>
              {isAdmin && <td>{webhook.isGlobal ? "every owner" : webhook.ownerId}</td>}
              <td class="list">
                {webhook.events.join(", ")}
                {webhook.tags.length > 0 && ` · tagged ${webhook.tags.join(", ")}`}
              </td>
              <td>{webhook.isEnabled ? "yes" : "no"}</td>
              <td>
                <Lately frame={frame} webhook={webhook} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

const disabledWords = {
  gone: "it answered 410 Gone",
  failing: "it took nothing for five days",
} as const;

/** What its last deliveries came to. */
export function Lately({ frame, webhook }: { frame: Frame; webhook: StoredWebhook }) {
  const { disabledReason, disabledAt, failures, failingSince, lastSuccessAt } = webhook;
  if (disabledReason !== null) {
    return (
      <span class="fault">
        disabled: {disabledWords[disabledReason]}
        {disabledAt !== null && (
          <>
            {" · "}
            <When at={disabledAt} frame={frame} form="row" />
          </>
        )}
      </span>
    );
  }
  if (failures > 0) {
    return (
      <span class="fault">
        {counted(failures, "failure")} in a row
        {failingSince !== null && (
          <>
            , since <When at={failingSince} frame={frame} form="row" />
          </>
        )}
      </span>
    );
  }
  if (lastSuccessAt === null) return <span class="quiet">nothing delivered yet</span>;
  return (
    <>
      delivered <When at={lastSuccessAt} frame={frame} form="row" />
    </>
  );
}
