import type { DeliveryOutcome, StoredDelivery, StoredWebhook } from "../../../store/webhooks.ts";
import { CommandLine } from "../../session/sign-in-page.tsx";
import { emailPath } from "../emails/row.tsx";
import { type Frame, FramedPage } from "../frame.tsx";
import { When } from "../when.tsx";
import { counted, shownDuration } from "../words.ts";
import { Lately, webhookPath } from "./webhooks-page.tsx";

export interface ShownDelivery extends Omit<StoredDelivery, "answer"> {
  /** What the receiver said, in clear. */
  answer: string | null;
}

export interface WebhookPageProps {
  frame: Frame;
  webhook: StoredWebhook;
  deliveries: readonly ShownDelivery[];
  /** null: all. */
  outcome: DeliveryOutcome | null;
  /** Of the next page; null: this is the last. */
  older: string | null;
  /** Just made: its only showing. */
  secret: string | null;
  fault: string | undefined;
}

export function WebhookPage(props: WebhookPageProps) {
  const { frame, webhook, deliveries, outcome, older, secret, fault } = props;
  return (
    <FramedPage frame={frame} title={webhook.url} place="webhooks">
      <p class="back">
        <a href="/console/webhooks">← Webhooks</a>
      </p>
      <div class="heading">
        <h1>{webhook.url}</h1>
        <Actions webhook={webhook} />
      </div>
      {fault !== undefined && (
        <p class="flash fault" role="alert">
          {fault}
        </p>
      )}
      {secret !== null && (
        <section class="card once" aria-labelledby="secret-title">
          <h2 id="secret-title">Its signing secret</h2>
          <p>Copy it into your receiver now: it is not shown again, only replaced.</p>
          <CommandLine id="secret" command={secret} />
        </section>
      )}
      <Facts frame={frame} webhook={webhook} />
      <nav class="views" aria-label="Deliveries by outcome">
        {([null, "pending", "delivered", "failed"] as const).map((one) => (
          <a
            href={one === null ? webhookPath(webhook.id) : `?outcome=${one}`}
            aria-current={one === outcome ? "page" : undefined}
          >
            {one === null ? "All deliveries" : one}
          </a>
        ))}
      </nav>
      {deliveries.length === 0 ? (
        <div class="card empty">
          <h2>No deliveries</h2>
          <p>Send a test, or wait for the next event.</p>
        </div>
      ) : (
        <Deliveries frame={frame} deliveries={deliveries} />
      )}
      {deliveries.length > 0 && (
        <nav class="pager" aria-label="Pages of deliveries">
          <span class="quiet">{counted(deliveries.length, "delivery", "deliveries")} shown</span>
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

function Actions({ webhook: { id, isEnabled } }: { webhook: StoredWebhook }) {
  const path = webhookPath(id);
  const turn = isEnabled ? "disable" : "enable";
  return (
    <div class="actions">
      <form method="post" action={`${path}/test`}>
        <button class="primary" type="submit">
          Send a test
        </button>
      </form>
      <form method="post" action={`${path}/${turn}`}>
        <button type="submit">{isEnabled ? "Disable" : "Enable"}</button>
      </form>
      <a class="button" href={`${path}/edit`}>
        Edit
      </a>
      <a class="button" href={`${path}/rotate-secret`}>
        Rotate secret…
      </a>
      <a class="button" href={`${path}/delete`}>
        Delete…
      </a>
    </div>
  );
}

function Facts({ frame, webhook }: { frame: Frame; webhook: StoredWebhook }) {
  const { description, events, tags, isEnabled, isGlobal, ownerId } = webhook;
  const { createdAt, oldSecretUntil } = webhook;
  return (
    <dl class="card object-facts">
      {description !== null && (
        <div>
          <dt>Description</dt>
          <dd>{description}</dd>
        </div>
      )}
      <div>
        <dt>Events</dt>
        <dd>{events.join(", ")}</dd>
      </div>
      <div>
        <dt>Emails</dt>
        <dd>
          {isGlobal ? "of every owner" : `of ${ownerId}`}
          {tags.length > 0 && `, tagged ${tags.join(", ")}`}
        </dd>
      </div>
      <div>
        <dt>Enabled</dt>
        <dd>{isEnabled ? "yes" : "no"}</dd>
      </div>
      <div>
        <dt>Lately</dt>
        <dd>
          <Lately frame={frame} webhook={webhook} />
        </dd>
      </div>
      <div>
        <dt>Created</dt>
        <dd>
          <When at={createdAt} frame={frame} form="absolute" />
        </dd>
      </div>
      {oldSecretUntil !== null && oldSecretUntil > frame.now && (
        <div>
          <dt>The former secret signs too until</dt>
          <dd>
            <When at={oldSecretUntil} frame={frame} form="absolute" />
          </dd>
        </div>
      )}
    </dl>
  );
}

function Deliveries(props: { frame: Frame; deliveries: readonly ShownDelivery[] }) {
  return (
    <section class="card wide objects" aria-label="Deliveries" tabindex={0}>
      <table>
        <thead>
          <tr>
            <th>Event</th>
            <th>Outcome</th>
            <th>Tries</th>
            <th>Status</th>
            <th>Took</th>
            <th>Answer</th>
            <th>Last try</th>
            <th>Next try</th>
            <th>
              <span class="unseen">Action</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {props.deliveries.map((delivery) => (
            <DeliveryRow frame={props.frame} delivery={delivery} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function DeliveryRow({ frame, delivery }: { frame: Frame; delivery: ShownDelivery }) {
  const { id, webhookId, type, emailId, position, outcome, tries, statusCode } = delivery;
  const { durationMs, lastTryAt, nextTryAt } = delivery;
  return (
    <tr>
      <td>
        {emailId === null ? (
          type
        ) : (
          <a href={emailPath(emailId)} title={`Email ${emailId}`}>
            {type}
          </a>
        )}
      </td>
      <td class={outcome === "failed" ? "fault" : undefined}>{outcome}</td>
      <td>{tries}</td>
      <td>{statusCode ?? "–"}</td>
      <td>{durationMs === null ? "–" : shownDuration(durationMs)}</td>
      <td class="list">
        <Answer delivery={delivery} />
      </td>
      <td>{lastTryAt !== null && <When at={lastTryAt} frame={frame} form="row" />}</td>
      <td>{nextTryAt === null ? "–" : <When at={nextTryAt} frame={frame} form="row" />}</td>
      <td class="do">
        {position !== null && (
          <form method="post" action={`${webhookPath(webhookId)}/deliveries/${id}/replay`}>
            <button type="submit" aria-label={`Replay ${type}`}>
              Replay
            </button>
          </form>
        )}
      </td>
    </tr>
  );
}

const answerCharsMax = 120;

function Answer({ delivery: { error, answer } }: { delivery: ShownDelivery }) {
  const isLong = answer !== null && answer.length > answerCharsMax;
  return (
    <>
      {error !== null && <span class="fault">{error} </span>}
      {answer !== null && answer !== "" && (
        <code title={isLong ? answer : undefined}>
          {answer.slice(0, answerCharsMax)}
          {isLong && "…"}
        </code>
      )}
      {error === null && !answer && "–"}
    </>
  );
}

export type Question = "delete" | "rotate-secret";

const questions = {
  delete: {
    title: "Delete this webhook?",
    words:
      "What waits for it is delivered no more, and its deliveries are forgotten. This can't be undone.",
    verb: "Delete webhook",
  },
  "rotate-secret": {
    title: "Rotate its secret?",
    words:
      "A new one is made and shown once. The present one signs beside it for 24 hours, so that your " +
      "receiver can change without a gap.",
    verb: "Rotate secret",
  },
} as const;

/** Says what would be done, and asks. */
export function AskPage(props: { frame: Frame; webhook: StoredWebhook; question: Question }) {
  const { frame, webhook, question } = props;
  const { title, words, verb } = questions[question];
  const path = webhookPath(webhook.id);
  return (
    <FramedPage frame={frame} title={title} place="webhooks">
      <section class="card notice">
        <h1>{title}</h1>
        <p class="address">{webhook.url}</p>
        <p>{words}</p>
        <form class="decide" method="post" action={`${path}/${question}`}>
          <button class={question === "delete" ? "danger" : "primary"} type="submit">
            {verb}
          </button>
          <a class="button" href={path}>
            Back
          </a>
        </form>
      </section>
    </FramedPage>
  );
}
