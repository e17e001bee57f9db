import type { StoredWebhook } from "../../../store/webhooks.ts";
import { type Frame, FramedPage } from "../frame.tsx";
import type { WebhookFields } from "./webhook-form.ts";
import { DescriptionField, UrlAndTags, Wishes, webhookPath } from "./webhooks-page.tsx";

export interface EditWebhookPageProps {
  frame: Frame;
  webhook: StoredWebhook;
  /** As it is, or as it was typed. */
  fields: WebhookFields;
  fault: string | undefined;
}

export function EditWebhookPage({ frame, webhook, fields, fault }: EditWebhookPageProps) {
  const path = webhookPath(webhook.id);
  return (
    <FramedPage frame={frame} title="Edit webhook" place="webhooks">
      <p class="back">
        <a href={path}>← {webhook.url}</a>
      </p>
      <div class="heading">
        <h1>Edit webhook</h1>
      </div>
      {fault !== undefined && (
        <p class="flash fault" role="alert">
          {fault}
        </p>
      )}
      <form class="card create" method="post" action={`${path}/edit`}>
        <UrlAndTags fields={fields} />
        <DescriptionField fields={fields} />
        <div class="whole">
          <Wishes fields={fields} isSystem={webhook.isGlobal} />
        </div>
        <div class="whole">
          <label class="tick">
            <input type="checkbox" name="enabled" value="true" checked={fields.isEnabled} />
            Enabled: it hears of events
          </label>
        </div>
        <div class="decide">
          <button class="primary" type="submit">
            Save
          </button>
          <a class="button" href={path}>
            Back
          </a>
        </div>
      </form>
    </FramedPage>
  );
}
