import type { Hono } from "hono";
import { sendPage } from "../../page-response.ts";
import { sendMissing } from "../missing.tsx";
import type { PagesDeps } from "../pages-deps.ts";
import { SettingsPage } from "./settings-page.tsx";

/** Every variable and where it comes from, for admins. */
export function mountSettings(app: Hono, deps: PagesDeps): void {
  app.get("/console/settings", async (c) => {
    const visit = await deps.door.enter(c);
    if (visit instanceof Response) return visit;
    const { frame } = visit;
    if (!frame.principal.isAdmin) return await sendMissing(c, frame);
    return await sendPage(c, <SettingsPage frame={frame} settings={deps.settings()} />);
  });
}
