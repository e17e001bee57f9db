import type { Context } from "hono";
import type { Principal } from "../auth/principal.ts";
import { Notice, Page } from "./page.tsx";
import { sendPage } from "./page-response.ts";
import { SignInPage } from "./sign-in-page.tsx";
import type { Visitors } from "./visitor.ts";

export interface AdmissionOptions {
  /** How this program is called from a shell. */
  program: string;
  /** Whether the users of a Supabase project may come in; default: no. */
  hasPasswords?: boolean | undefined;
  /** Why this is for admins, in one sentence. */
  reason: string;
}

/** Lets admins through; anybody else gets the page that says why not. */
export function createAdmission(visitors: Visitors, options: AdmissionOptions) {
  const { program, hasPasswords = false, reason } = options;
  return async (c: Context): Promise<Principal | Response> => {
    const visitor = await visitors.recognise(c);
    if (visitor === null || visitor === "refused") {
      // A browser that follows a link from another site holds a strict cookie back, but sends
      // it when our own page asks again.
      const isReloading = c.req.header("Sec-Fetch-Site") === "cross-site";
      const page = { program, hasPasswords, isReloading };
      return sendPage(c, <SignInPage {...page} />, 401);
    }
    return visitor.isAdmin ? visitor : sendForbidden(c, visitor, reason);
  };
}

function sendForbidden(c: Context, principal: Principal, reason: string): Promise<Response> {
  const page = (
    <Page title="Not for you" principal={principal}>
      <Notice heading="Admins only">
        <p>{reason}</p>
      </Notice>
    </Page>
  );
  return sendPage(c, page, 403);
}
