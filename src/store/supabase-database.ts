import { createClient } from "@supabase/supabase-js";
import { spendCallBudget } from "./call-budget.ts";
import { toCallError, unavailableError } from "./call-error.ts";
import {
  type CallOptions,
  type Claims,
  callText,
  claimsText,
  type Database,
  deadlineFor,
  parseAnswer,
  partClaims,
} from "./database.ts";
import { toSupabaseError } from "./supabase-error.ts";

export interface SupabaseDatabaseOptions {
  /** The project's API URL, `https://….supabase.co`. */
  url: string;
  /** The service_role key, or one that starts with `sb_secret_`. */
  serviceRoleKey: string;
  /** Milliseconds one call may take. Default 4000. */
  deadlineMs?: number;
  /** Rejects where the key may not go; asked before each call. */
  assertSafe?: () => Promise<void>;
}

/** What of the database supabase-js sees: one schema with one function. */
interface ExposedSchema {
  mailer_api: {
    Tables: Record<never, never>;
    Views: Record<never, never>;
    Functions: {
      call_as: {
        Args: { claims: string; fn: string; args: string };
        Returns: string | null;
      };
    };
  };
}

/**
 * The `Database` over PostgREST. Nothing is tried again here (a call that ran into its deadline
 * may have committed; whoever made it knows what to do), and nothing but calls opens a connection.
 */
export function createSupabaseDatabase({
  url,
  serviceRoleKey,
  deadlineMs = 4_000,
  assertSafe = async () => {},
}: SupabaseDatabaseOptions): Database {
  const client = createClient<ExposedSchema, "mailer_api">(url, serviceRoleKey, {
    db: { schema: "mailer_api" },
    // The key itself is the token: so there is no session to keep, to refresh or to look up.
    accessToken: async () => serviceRoleKey,
    global: { fetch: fetchWithoutRedirect },
  });
  let isClosed = false;

  async function rpc(
    fn: string,
    args: unknown,
    as: Claims,
    options?: CallOptions,
  ): Promise<unknown> {
    if (isClosed) throw unavailableError(new Error("the database is closed"));
    const text = callText(args, options);
    const callMs = deadlineFor(text, options, deadlineMs);
    const call = async () => {
      const signal = AbortSignal.timeout(Math.ceil(callMs));
      await assertSafe().catch((error: unknown) => {
        throw unavailableError(error);
      });
      return await client
        .rpc("call_as", { claims: claimsText(as, options), fn, args: text })
        .retry(false)
        .abortSignal(signal);
    };
    const { data, error, status } = await spendCallBudget(call);
    if (error !== null) throw toSupabaseError({ status, error });
    return parsed(data, status, options);
  }

  return {
    driver: "supabase",
    rpc,
    async ping(): Promise<void> {
      await rpc("clock", {}, partClaims("ping"));
    },
    async close(): Promise<void> {
      isClosed = true;
    },
  };
}

/** A redirect would turn the POST into a GET, or carry the key to another host. */
const fetchWithoutRedirect: typeof fetch = Object.assign(
  (input: Parameters<typeof fetch>[0], init?: RequestInit) =>
    fetch(input, { ...init, redirect: "manual" }),
  { preconnect: fetch.preconnect },
);

/** supabase-js makes a success of an empty 404, and of a 404 with a list; neither is ours. */
function parsed(answer: unknown, status: number, options: CallOptions | undefined): unknown {
  if (answer === null && status === 200) return null;
  if (typeof answer !== "string") throw toSupabaseError({ status: 404, error: {} });
  try {
    return parseAnswer(answer, options);
  } catch (error) {
    throw toCallError(error);
  }
}
