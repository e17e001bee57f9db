import type { Context } from "hono";
import type { Principal } from "../../auth/principal.ts";
import { sendPage } from "../page-response.ts";
import { Document } from "../pages/frame.tsx";
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
      const next = new URL(c.req.url).pathname;
      return sendPage(c, <SignInPage {...{ program, hasPasswords, isReloading, next }} />, 401);
    }
    return visitor.isAdmin ? visitor : sendForbidden(c, reason);
  };
}

function sendForbidden(c: Context, reason: string): Promise<Response> {
  const page = (
    <Document title="Admins only">
      <main class="alone">
        <section class="card notice">
          <h1>Admins only</h1>
          <p>{reason}</p>
          <p>
            <a href="/">Back to your emails</a>
          </p>
        </section>
      </main>
    </Document>
  );
  return sendPage(c, page, 403);
}
