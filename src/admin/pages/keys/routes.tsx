import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { missingScope, type Principal } from "../../../auth/principal.ts";
import { AppError } from "../../../errors.ts";
import { sendPage } from "../../page-response.ts";
import type { Visit } from "../door.tsx";
import { faultOf } from "../fault.ts";
import { redirectWith } from "../flash.ts";
import { isUuid, readPlace, writePlace } from "../list-place.ts";
import { sendMissing } from "../missing.tsx";
import type { PagesDeps } from "../pages-deps.ts";
import { emptyKeyFields, keyBodyOf, keyFieldsOf } from "./key-form.ts";
import { KeysPage, type KeysPageProps, RevokePage } from "./keys-page.tsx";

const formBytesMax = 16 * 1024;
const pageSize = 50;
const path = "/console/keys";

/** The keys of programs: whose they are, what they may, making and revoking them. */
export function mountKeys(app: Hono, deps: PagesDeps): void {
  const limit = bodyLimit({ maxSize: formBytesMax });

  app.get(path, async (c) => {
    const visit = await deps.door.enter(c);
    return visit instanceof Response ? visit : await sendKeys(c, visit, deps, {});
  });

  app.post(path, limit, async (c) => {
    const visit = await deps.door.act(c);
    if (visit instanceof Response) return visit;
    const { frame, claims, origin } = visit;
    const { principal, now } = frame;
    const fields = keyFieldsOf(await c.req.parseBody({ all: true }));
    try {
      assertPerson(principal);
      const by = { principal, claims, origin };
      const { stored, key } = await deps.makeApiKey(keyBodyOf(fields, now), by);
      // Not a redirect: the key is kept nowhere, so this answer alone can show it.
      return await sendKeys(c, visit, deps, { made: { name: stored.name, key } });
    } catch (error) {
      const fault = faultOf(error);
      return await sendKeys(c, visit, deps, { fields, fault: fault.words }, fault.status);
    }
  });

  app.get(`${path}/:id/revoke`, async (c) => {
    const visit = await deps.door.enter(c);
    if (visit instanceof Response) return visit;
    const id = c.req.param("id");
    const apiKey = isUuid(id) ? await deps.apiKeys.get(id, visit.claims) : null;
    if (apiKey === null) return await sendMissing(c, visit.frame);
    if (apiKey.revokedAt !== null) return redirectWith(c, path, "It is revoked already.");
    return await sendPage(c, <RevokePage frame={visit.frame} apiKey={apiKey} />);
  });

  app.post(`${path}/:id/revoke`, limit, async (c) => {
    const visit = await deps.door.act(c);
    if (visit instanceof Response) return visit;
    const id = c.req.param("id");
    const { frame, claims, origin } = visit;
    try {
      assertPerson(frame.principal);
    } catch (error) {
      const fault = faultOf(error);
      return await sendKeys(c, visit, deps, { fault: fault.words }, fault.status);
    }
    const revoked = isUuid(id) ? await deps.apiKeys.revoke(id, claims, origin) : null;
    if (revoked === null) return await sendMissing(c, frame);
    return redirectWith(c, path, `Revoked: ${revoked.name} is refused from now on.`);
  });
}

async function sendKeys(
  c: Context,
  { frame, claims }: Visit,
  { apiKeys }: PagesDeps,
  shown: Partial<Pick<KeysPageProps, "fields" | "made" | "fault">>,
  status: 200 | 409 | 422 | 503 = 200,
): Promise<Response> {
  const cursor = readPlace(c.req.query("older"));
  const { keys, next } = await apiKeys.list({ limit: pageSize, offset: null, cursor }, claims);
  const { fields = emptyKeyFields, made = null, fault } = shown;
  const older = next && `${path}?${new URLSearchParams({ older: writePlace(next) })}`;
  const page = { frame, keys, fields, made, fault, older };
  return await sendPage(c, <KeysPage {...page} />, status);
}

/** As at the API: a key may not make or revoke keys, lest a stolen one outlives its revocation. */
function assertPerson(principal: Principal): void {
  if (missingScope(principal, "keys") === null) return;
  throw new AppError("forbidden", { publicDetail: "An API key may not make or revoke keys." });
}
