import type { Principal } from "../../auth/principal.ts";
import { assertMayDirect } from "../../auth/webhook-rights.ts";
import { AppError, type FieldFault } from "../../errors.ts";
import type { Claims } from "../../store/database.ts";
import type { StoredWebhook } from "../../store/webhooks.ts";
import type { NewEndpoint } from "../../webhooks/endpoints.ts";
import { createSecret } from "../../webhooks/sign.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { isUuid } from "../request/email-id.ts";
import { isPlainObject } from "../request/field-schemas.ts";
import { createKeptCreation } from "../request/kept-request.ts";
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
  const once = createKeptCreation(deps, path);
  return async (c: ApiContext): Promise<Response> => {
    const body = await readJson(c, deps);
    const principal = principalOf(c);
    // An answer that is kept holds the secret: whoever may not make the webhook may not read it.
    assertMayDirect(principal, { isGlobal: isForAll(body) }, "make");
    const origin = deps.peerAddress?.(c) ?? null;
    const made = await once(c, body, {
      plan: () => planWebhook(deps, body, principal),
      make: async (plan: WebhookPlan) => {
        const { webhook, isNew } = await makePlanned(deps, plan, claimsOf(c), origin);
        return { made: webhookAnswer(webhook, plan.secret), isNew };
      },
    });
    return answer(c, made, { status: 201 });
  };
}

function isForAll(body: unknown): boolean {
  return isPlainObject(body) && body.all_owners === true;
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
  const plan = await planWebhook(deps, body, principal);
  const { webhook } = await makePlanned(deps, plan, claims, origin);
  return { webhook, secret: plan.secret };
}

type WebhookPlan = Omit<NewEndpoint, "origin">;

async function planWebhook(
  deps: Pick<AppDeps, "judgeUrl">,
  body: unknown,
  principal: Principal,
): Promise<WebhookPlan> {
  const { fields, faults } = readFields(body, webhookSchema);
  const { all_owners: isGlobal = false, events = ["email.*"], url } = fields;
  faults.push(...(await urlFaults(deps, url)), ...systemFaults(events, isGlobal));
  if (faults.length > 0) throw invalidContent(faults);
  assertMayDirect(principal, { isGlobal }, "make");
  const { description = null, tags = [], secret = createSecret(), enabled = true } = fields;
  const shape = { url: url ?? "", description, events, tags, isGlobal, isEnabled: enabled };
  return { id: Bun.randomUUIDv7(), ...shape, secret };
}

async function makePlanned(
  { endpoints }: Pick<AppDeps, "endpoints">,
  plan: WebhookPlan,
  claims: Claims,
  origin: string | null,
) {
  const made = await endpoints.create({ ...plan, origin }, claims);
  if (made === null) throw tooMany();
  return made;
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
