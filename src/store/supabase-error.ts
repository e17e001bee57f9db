import { AppError } from "../errors.ts";
import { setupError, toCallError, unavailableError } from "./call-error.ts";

/** What came instead of an answer, as supabase-js tells it. */
export interface SupabaseFailure {
  /** Of the HTTP answer; 0: there was none. */
  status: number;
  /** PostgREST's JSON; of anything else only `message`, which is then the body. */
  error: {
    code?: string | null;
    message?: string | null;
    details?: string | null;
    hint?: string | null;
  };
}

/** Codes of PostgREST itself that say "not now": no connection, none free, no schema cache yet. */
const UNAVAILABLE_CODE = /^PGRST00\d$/;
/** A key it cannot verify, that has expired, or that is none. */
const KEY_CODE = /^PGRST30\d$/;
/** No such function, or no such table. */
const MISSING_CODE = /^PGRST20[25]$/;
const SQLSTATE = /^[0-9A-Z]{5}$/;
/** `42501` of these two means the caller; of anything else, a fault of our own functions. */
const OUR_DOOR = /(schema mailer_api|function call_as)\b/;

const keyWords =
  "Supabase refuses this server's key: SUPABASE_SERVICE_ROLE_KEY must be the service_role key " +
  "(or an sb_secret_… key) of the project at SUPABASE_URL.";
const addressWords =
  "SUPABASE_URL does not lead to a Supabase project: it must be the project's API URL, such as " +
  "https://abcdefgh.supabase.co, over https and without a path.";
const hostWords =
  "The host of SUPABASE_URL is unknown: check its spelling, and that the project is not paused.";
const pausedWords = "The Supabase project is paused: restore it in its dashboard.";
const exposedWords =
  "Supabase does not expose the schema mailer_api: add it under Project Settings, Data API, " +
  'Exposed schemas (in supabase/config.toml: [api] schemas = ["public", "mailer_api"]).';
const missingWords =
  "The database's schema is missing or older than this program: run `taskforce-mailer migrate` " +
  "with DATABASE_URL set, or `supabase db push`, or paste supabase/schema.sql into the SQL " +
  "editor. If that was done: NOTIFY pgrst, 'reload schema'.";

/**
 * Turns a failure of supabase-js into the `AppError` the rest of the program branches on, with
 * words for each mistake a person makes. All of these are "not now": mended, the same call works.
 */
export function toSupabaseError(failure: SupabaseFailure): AppError {
  const { status, error } = failure;
  const code = error.code ?? "";
  const message = error.message ?? "";
  const cause = causeOf(failure);
  if (status === 0) return networkError(message, cause);
  if (SQLSTATE.test(code)) return sqlError(code, message, cause);
  if (code === "PGRST106") return setupError(cause, exposedWords);
  if (MISSING_CODE.test(code)) return setupError(cause, missingWords);
  if (UNAVAILABLE_CODE.test(code)) return unavailableError(cause);
  if (KEY_CODE.test(code) || status === 401 || status === 403) return setupError(cause, keyWords);
  if (status === 540) return setupError(cause, pausedWords);
  if (status >= 500 || status === 408 || status === 429) return unavailableError(cause);
  if (status === 413) return sizeError(cause);
  if (code === "") return setupError(cause, addressWords);
  return toCallError(cause);
}

/** As `pg` would have thrown it, for the log and for `toCallError`. Never the body of a page. */
function causeOf({ status, error }: SupabaseFailure): Error {
  const code = error.code || `HTTP ${status}`;
  const message = isPage(error.message ?? "") ? "the answer is no JSON" : (error.message ?? "");
  return Object.assign(new Error(message), { code, detail: error.details ?? undefined });
}

function isPage(text: string): boolean {
  return /^\s*</.test(text) || text.length > 1_000;
}

function networkError(message: string, cause: Error): AppError {
  return /ENOTFOUND/.test(message) ? setupError(cause, hostWords) : unavailableError(cause);
}

function sqlError(code: string, message: string, cause: Error): AppError {
  if (code === "42501" && OUR_DOOR.test(message)) return setupError(cause, keyWords);
  if (code === "42883" || code === "3F000") return setupError(cause, missingWords);
  return toCallError(cause);
}

function sizeError(cause: Error): AppError {
  return new AppError("payload_too_large", {
    publicDetail: "Supabase refuses a message of this size.",
    cause,
  });
}
