import type { Principal } from "../../auth/principal.ts";
import { assertMayDirect } from "../../auth/webhook-rights.ts";
import { AppError, type FieldFault } from "../../errors.ts";
import type { Claims } from "../../store/database.ts";
import type { StoredWebhook } from "../../store/webhooks.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { isUuid } from "../request/email-id.ts";
import { createKeptRequest } from "../request/kept-request.ts";
import { writeCursor } from "../request/list-cursor.ts";
import { readOwnedPageQuery } from "../request/list-query.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson, readOptionalJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";
import {
  rotateSecretSchema,
  webhookChangeSchema,
  webhookSchema,
} from "../request/webhook-fields.ts";
import { webhookAnswer } from "./webhook-answer.ts";

const path = "/api/v1/webhooks";

/** POST /api/v1/webhooks: an endpoint that hears of what happens from now on. The secret is shown once. */
export function createCreateWebhook(deps: AppDeps) {
  const once = createKeptRequest(deps, path);
  return async (c: ApiContext): Promise<Response> => {
    const body = await readJson(c, deps);
    return answer(c, await once(c, body, () => create(c, deps, body)), { status: 201 });
  };
}

async function create(c: ApiContext, deps: AppDeps, body: unknown) {
  const origin = deps.peerAddress?.(c) ?? null;
  const caller = { principal: principalOf(c), claims: claimsOf(c), origin };
  const { webhook, secret } = await makeWebhook(deps, body, caller);
  return webhookAnswer(webhook, secret);
}

/** The caller, as a credential and the journal know them. */
export interface WebhookMaker {
  principal: Principal;
  claims: Claims;
  origin: string | null;
}

/** The secret is shown once, here. */
export async function makeWebhook(
  deps: Pick<AppDeps, "judgeUrl" | "endpoints">,
  body: unknown,
  { principal, claims, origin }: WebhookMaker,
): Promise<{ webhook: StoredWebhook; secret: string }> {
  const { fields, faults } = readFields(body, webhookSchema);
  const { all_owners: isGlobal = false, events = ["email.*"], url } = fields;
  faults.push(...(await urlFaults(deps, url)), ...systemFaults(events, isGlobal));
  if (faults.length > 0) throw invalidContent(faults);
  assertMayDirect(principal, { isGlobal }, "make");
  const { description = null, tags = [], secret = null } = fields;
  const wanted = { url: url ?? "", description, events, tags, isGlobal, origin, secret };
  const made = await deps.endpoints.create(wanted, claims);
  if (made === null) throw tooMany();
  if (fields.enabled !== false) return made;
  const off = await deps.endpoints.change(made.webhook.id, { isEnabled: false }, claims, origin);
  return { ...made, webhook: off ?? made.webhook };
}

/** GET /api/v1/webhooks: newest first. */
export function createListWebhooks({ webhooks }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { ownerId, ...asked } = readOwnedPageQuery(c);
    const {
      webhooks: found,
      total,
      next,
    } = await webhooks.list({ ...asked, ...(ownerId !== null && { ownerId }) }, claimsOf(c));
    const { limit, offset } = asked;
    const page = {
      limit,
      ...(offset === null ? {} : { offset, total }),
      next_cursor: next && writeCursor(next),
    };
    return answer(
      c,
      found.map((webhook) => webhookAnswer(webhook)),
      { page },
    );
  };
}

/** GET /api/v1/webhooks/{id} */
export function createGetWebhook({ webhooks }: AppDeps) {
  return async (c: ApiContext): Promise<Response> =>
    answer(c, webhookAnswer(known(await webhooks.get(webhookIdOf(c), claimsOf(c)))));
}

/** PATCH /api/v1/webhooks/{id}: for what is begun from now on. */
export function createPatchWebhook(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const principal = principalOf(c);
    const webhook = known(await deps.webhooks.get(webhookIdOf(c), claimsOf(c)));
    const body = await readJson(c, deps);
    const caller = { principal, claims: claimsOf(c), origin: deps.peerAddress?.(c) ?? null };
    return answer(c, webhookAnswer(await changeWebhook(deps, webhook, body, caller)));
  };
}

/** A body of PATCH, judged and done; throws when it does not fit. */
export async function changeWebhook(
  deps: Pick<AppDeps, "judgeUrl" | "endpoints">,
  webhook: StoredWebhook,
  body: unknown,
  { principal, claims, origin }: WebhookMaker,
): Promise<StoredWebhook> {
  const { fields, faults } = readFields(body, webhookChangeSchema);
  const { enabled, url, events, tags, description } = fields;
  faults.push(...(await urlFaults(deps, url)), ...systemFaults(events ?? [], webhook.isGlobal));
  if (faults.length > 0) throw invalidContent(faults);
  const change = {
    ...(url !== undefined && { url }),
    ...(events !== undefined && { events }),
    ...(tags !== undefined && { tags }),
    ...(description !== undefined && { description }),
    ...(enabled !== undefined && { isEnabled: enabled }),
  };
  if (Object.keys(change).length === 0) return webhook;
  // That alone sends nothing anywhere.
  const isDisabling = Object.keys(change).length === 1 && enabled === false;
  if (!isDisabling) assertMayDirect(principal, webhook);
  return known(await deps.endpoints.change(webhook.id, change, claims, origin));
}

/** DELETE /api/v1/webhooks/{id}: what waits for it is delivered no more. */
export function createDeleteWebhook({ webhooks, peerAddress }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const id = webhookIdOf(c);
    const isGone = await webhooks.remove(id, claimsOf(c), peerAddress?.(c) ?? null);
    if (!isGone) throw noSuchWebhook();
    return answer(c, { id, deleted: true });
  };
}

/** POST /api/v1/webhooks/{id}/rotate-secret: the former one signs beside the new one for 24 hours. */
export function createRotateSecret(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { id } = await directedWebhook(c, deps);
    const { fields, faults } = readFields(await readOptionalJson(c, deps), rotateSecretSchema);
    if (faults.length > 0) throw invalidContent(faults);
    const origin = deps.peerAddress?.(c) ?? null;
    const { secret: given = null } = fields;
    const { webhook, secret } = known(
      await deps.endpoints.rotateSecret(id, given, claimsOf(c), origin),
    );
    return answer(c, webhookAnswer(webhook, secret));
  };
}

/** A malformed id belongs to nobody, like an unknown one. */
export function webhookIdOf(c: ApiContext): string {
  const id = c.req.param("id") ?? "";
  if (!isUuid(id)) throw noSuchWebhook();
  return id.toLowerCase();
}

/** The webhook of the path, which the caller may have its events sent by. */
export async function directedWebhook(
  c: ApiContext,
  { webhooks }: Pick<AppDeps, "webhooks">,
): Promise<StoredWebhook> {
  const webhook = known(await webhooks.get(webhookIdOf(c), claimsOf(c)));
  assertMayDirect(principalOf(c), webhook);
  return webhook;
}

export function known<T>(found: T | null): T {
  if (found === null) throw noSuchWebhook();
  return found;
}

function noSuchWebhook(): AppError {
  return new AppError("not_found", { publicDetail: "There is no webhook with this id." });
}

async function urlFaults(
  { judgeUrl }: Pick<AppDeps, "judgeUrl">,
  url: string | undefined,
): Promise<FieldFault[]> {
  const detail = url === undefined ? null : await judgeUrl(url);
  return detail === null ? [] : [{ pointer: "/url", detail }];
}

/** Types that an endpoint of this kind never hears of. */
export function systemFaults(
  types: readonly string[],
  isGlobal: boolean,
  pointerAt = (index: number) => `/events/${index}`,
): FieldFault[] {
  return types.flatMap((type, index) =>
    type.startsWith("system.") && !isGlobal
      ? [
          {
            pointer: pointerAt(index),
            detail: `expected email.* or a type of email, as only a webhook with all_owners hears of ${type}`,
          },
        ]
      : [],
  );
}

function tooMany(): AppError {
  return new AppError("too_many_webhooks", {
    publicDetail: "There are 20 webhooks already: delete one first.",
  });
}
