import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { changeInBulk, replayInBulk } from "../../../emails/bulk.ts";
import { sendPage } from "../../page-response.ts";
import type { Visit } from "../door.tsx";
import { redirectWith } from "../flash.ts";
import type { PagesDeps } from "../pages-deps.ts";
import { counted } from "../words.ts";
import { DeadLettersPage } from "./dead-letters-page.tsx";
import { toDeadGroup } from "./group.tsx";

const formBytesMax = 16 * 1024;
const groupsMax = 50;
const path = "/console/dead-letters";

export function mountDeadLetters(app: Hono, deps: PagesDeps): void {
  app.get(path, async (c) => {
    const visit = await deps.door.enter(c);
    return visit instanceof Response ? visit : await sendGroups(c, visit, deps);
  });
  const onGroup = (name: string, act: (asked: Asked) => Promise<string>) =>
    app.post(`${path}/${name}`, bodyLimit({ maxSize: formBytesMax }), async (c) => {
      const visit = await deps.door.act(c);
      if (visit instanceof Response) return visit;
      const form = await c.req.parseBody();
      const group = String(form.group ?? "");
      // Without one it would be all dead letters.
      if (!/^[\w-]{1,64}$/.test(group)) return c.redirect(path, 303);
      return redirectWith(c, path, await act({ visit, form, group }));
    });

  onGroup("replay", async ({ visit: { claims, origin }, form, group }) => {
    const rate = /^\d{1,6}$/.test(String(form.rate)) ? Number(form.rate) : 0;
    const how = { ratePerMinute: rate || null, scheduledAt: null, isDryRun: false, origin };
    const { done, matched } = await replayInBulk(deps.bulk, { filter: { group }, ...how }, claims);
    const words = `${counted(done, "email")} of ${matched} replayed`;
    return rate > 0 ? `${words}: ${rate} go out a minute.` : `${words}.`;
  });
  onGroup("dismiss", async ({ visit: { claims, origin }, form, group }) => {
    const reason =
      String(form.reason ?? "")
        .trim()
        .slice(0, 500) || null;
    const wanted = { change: "dismiss", reason } as const;
    const asked = { wanted, filter: { group }, isDryRun: false, origin };
    const { done } = await changeInBulk(deps.bulk, asked, claims);
    return `${counted(done, "email")} dismissed.`;
  });
}

interface Asked {
  visit: Visit;
  form: Record<string, unknown>;
  group: string;
}

async function sendGroups(
  c: Context,
  { frame, claims }: Visit,
  { bulk, keyRing }: PagesDeps,
): Promise<Response> {
  const page = { limit: groupsMax, offset: 0 };
  const { groups, total } = await bulk.deadLetters.groups({}, page, claims);
  const shown = groups.map((group) => toDeadGroup(group, keyRing));
  return await sendPage(c, <DeadLettersPage frame={frame} groups={shown} total={total} />);
}
