import { quoteInput } from "../../email/quote-input.ts";
import { AppError, type FieldFault } from "../../errors.ts";
import { liftCallBudget } from "../../store/call-budget.ts";
import type { DeliveryOutcome } from "../../store/webhooks.ts";
import { testType } from "../../webhooks/endpoints.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { readDeliveryCursor, writeCursor } from "../request/list-cursor.ts";
import {
  createReader,
  limitDefault,
  limitMax,
  parseWhole,
  readOffset,
} from "../request/list-query.ts";
import { pathText } from "../request/path-text.ts";
import { invalidQuery } from "../request/query.ts";
import { readFields } from "../request/read-fields.ts";
import { readJson, readOptionalJson } from "../request/read-json.ts";
import { invalidContent } from "../request/to-draft.ts";
import { webhookReplaySchema, webhookTestSchema } from "../request/webhook-fields.ts";
import { deliveryAnswer } from "./webhook-answer.ts";
import { directedWebhook, known, systemFaults, webhookIdOf } from "./webhooks.ts";

export const deliveryParameters = ["outcome", "limit", "offset", "cursor"];
const outcomes: readonly DeliveryOutcome[] = ["pending", "delivered", "failed"];

/** GET /api/v1/webhooks/{id}/deliveries: newest first. */
export function createListDeliveries({ webhooks, endpoints }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const id = webhookIdOf(c);
    const faults: FieldFault[] = [];
    const read = createReader(c, faults);
    const limit = read("limit", (text) => parseWhole(text, 1, limitMax)) ?? limitDefault;
    const cursor = read("cursor", readDeliveryCursor);
    const offset = readOffset(c, read, faults);
    const outcome = read("outcome", (text) => {
      const value = outcomes.find((one) => one === text);
      const fault = `expected one of ${outcomes.join(", ")}, got ${quoteInput(text)}`;
      return value ? { value } : { fault };
    });
    if (faults.length > 0) throw invalidQuery(faults);
    const by = offset === null ? {} : { offset };
    const asked = { limit, ...by, cursor, ...(outcome !== null && { outcome }) };
    const found = known(await webhooks.deliveries(id, asked, claimsOf(c)));
    const shown = found.deliveries.map((one) =>
      deliveryAnswer(one, endpoints.openAnswer(one, found)),
    );
    const page = { limit, ...by, next_cursor: found.next && writeCursor(found.next) };
    return answer(c, shown, { page });
  };
}

/** POST /api/v1/webhooks/{id}/test: one signed event now, and what became of it. */
export function createTestWebhook(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const webhook = await directedWebhook(c, deps);
    const { fields, faults } = readFields(await readOptionalJson(c, deps), webhookTestSchema);
    if (faults.length > 0) throw invalidContent(faults);
    const unheard = systemFaults([fields.type ?? testType], webhook.isGlobal, () => "/type");
    if (unheard.length > 0) throw invalidContent(unheard);
    // The receiver has 15 s.
    c.env.server?.timeout(c.req.raw, 0);
    liftCallBudget();
    const { type = testType } = fields;
    const delivery = known(await deps.endpoints.test(webhook.id, type, claimsOf(c)));
    return answer(c, deliveryAnswer(delivery, deps.endpoints.openAnswer(delivery, webhook)));
  };
}

/** POST /api/v1/webhooks/{id}/deliveries/{delivery}/replay: again, under its id. */
export function createReplayDelivery(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { id } = await directedWebhook(c, deps);
    const deliveryId = pathText(c, "delivery");
    if (deliveryId === null) throw noSuchDelivery();
    const origin = deps.peerAddress?.(c) ?? null;
    const asked = deps.endpoints.replayDelivery(id, deliveryId, claimsOf(c), origin);
    const replayed = await asked;
    if (replayed === null) throw noSuchDelivery();
    if (replayed === "not_replayable") {
      throw new AppError("not_found", {
        publicDetail: "This delivery was a test, of an event that never was: send another test.",
      });
    }
    return answer(c, deliveryAnswer(replayed, null), { status: 202 });
  };
}

function noSuchDelivery(): AppError {
  return new AppError("not_found", {
    publicDetail: "There is no delivery with this id at a webhook of yours with that id.",
  });
}

/** POST /api/v1/webhooks/{id}/replay: all that happened in a time and that it asks for, again. */
export function createReplayWebhook(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { id } = await directedWebhook(c, deps);
    const { fields, faults } = readFields(await readJson(c, deps), webhookReplaySchema);
    const { from, to = null, rate_per_minute: ratePerMinute = null, dry_run: isDryRun } = fields;
    const isMissing = faults.length === 0 && !from;
    if (isMissing) faults.push({ pointer: "/from", detail: "expected a time, got nothing" });
    if (from && to && to <= from) {
      faults.push({ pointer: "/to", detail: "expected a time behind `from`" });
    }
    if (faults.length > 0 || !from) throw invalidContent(faults);
    c.env.server?.timeout(c.req.raw, 0);
    liftCallBudget();
    const range = { from, to: to ?? deps.now(), ratePerMinute, isDryRun: isDryRun ?? false };
    const origin = deps.peerAddress?.(c) ?? null;
    const counts = known(await deps.endpoints.replayRange(id, range, claimsOf(c), origin));
    return answer(c, counts, { status: 202 });
  };
}
