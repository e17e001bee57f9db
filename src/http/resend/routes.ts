import { z } from "zod";
import type { Route } from "../app.ts";
import type { AppDeps } from "../app-deps.ts";
import { createResendCancel, createResendUpdate } from "./change-email.ts";
import { resendEmailSchema, resendUpdateSchema } from "./email-fields.ts";
import { createResendDomains } from "./list-domains.ts";
import { createResendGet, createResendList, resendPage } from "./read-emails.ts";
import { batchMax, createResendBatch, createResendSend } from "./send-emails.ts";

export const resendBatchSchema = z.array(resendEmailSchema).min(1).max(batchMax);

/** What Resend's SDK calls, with its fields, errors and statuses. The emails are ordinary ones. */
export function resendRoutes(deps: AppDeps): Route[] {
  const read = { method: "GET", auth: "bearer", needs: "read", isOfReplica: true } as const;
  const send = { method: "POST", auth: "bearer", needs: "send", query: [] } as const;
  return [
    { ...send, path: "/emails", body: resendEmailSchema, run: createResendSend(deps) },
    { ...send, path: "/emails/batch", body: resendBatchSchema, run: createResendBatch(deps) },
    { ...read, path: "/emails", query: resendPage, run: createResendList(deps) },
    { ...read, path: "/emails/:id", query: [], run: createResendGet(deps) },
    {
      ...send,
      method: "PATCH",
      path: "/emails/:id",
      body: resendUpdateSchema,
      run: createResendUpdate(deps),
    },
    { ...send, path: "/emails/:id/cancel", run: createResendCancel(deps) },
    {
      ...read,
      isOfReplica: false,
      path: "/domains",
      query: resendPage,
      run: createResendDomains(deps),
    },
  ];
}
