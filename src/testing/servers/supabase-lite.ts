/**
 * A process of its own: @supabase/lite's PostgREST over a database that exists, with the keys
 * and the exposed schemas of a real project. Started by `startSupabase`, ended by its signal.
 */
import { App, type IAppConfig } from "@supabase/lite";
import { createPostgresConnection } from "@supabase/lite/postgres";
import pg from "pg";
import { publishableKey, secretKey, supabaseJwtSecret } from "./supabase-keys.ts";

const databaseUrl = process.env.DATABASE_URL ?? "";
const schemas = (process.env.EXPOSED_SCHEMAS ?? "public,mailer_api").split(",");

const connection = createPostgresConnection({
  url: databaseUrl,
  postgresOptions: { onnotice: () => {} },
});
// By default its secret key runs as `postgres`; as in a real project it shall be service_role.
const roles: Record<string, { type: "secret" | "publishable"; role: string }> = {
  [secretKey]: { type: "secret", role: "service_role" },
  [publishableKey]: { type: "publishable", role: "anon" },
};

/**
 * PostgREST passes on every SQLSTATE, as 500 for those of the server and 400 for others; here
 * those without a case of their own lose code and detail, but for `PGRST`, which says all itself.
 */
const withCaseOfItsOwn = /^(21|22|42|53|55|PT|23502|23503|23505|25006|PGRST)/;
const normalize = connection.normalizeDbError.bind(connection);
connection.normalizeDbError = (thrown: unknown) => {
  const error: unknown = normalize(thrown);
  if (!(error instanceof Error) || !("code" in error) || withCaseOfItsOwn.test(`${error.code}`)) {
    return error;
  }
  const { code, message } = error;
  const details = "detail" in error ? error.detail : null;
  const status = /^(40|57|58|XX)/.test(`${code}`) ? 500 : 400;
  return Object.assign(new Error(JSON.stringify({ code, message, details, hint: null })), {
    code: "PGRST",
    detail: JSON.stringify({ status, headers: {} }),
  });
};

const config: IAppConfig = {
  connection,
  auth: {
    enabled: false,
    jwt_secret: supabaseJwtSecret,
    publishable_key: publishableKey,
    secret_key: secretKey,
  },
  api: { schemas },
  options: {
    server: {
      disableStudio: true,
      admin: false,
      apiKeys: {
        resolver: async (key) => {
          const found = roles[key];
          return found ? { type: found.type, claims: { role: found.role } } : null;
        },
      },
    },
  },
};
const app = new App(config);
await app.init();

// PostgREST looks at the schema anew when it is told so, by the same words.
const listener = new pg.Client({ connectionString: databaseUrl });
listener.on("error", () => {});
listener.on("notification", () => void connection.clearSchemaCache());
await listener.connect();
await listener.query("listen pgrst");

const server = Bun.serve({
  port: Number(process.env.PORT ?? 0),
  hostname: "127.0.0.1",
  idleTimeout: 120,
  maxRequestBodySize: 256 * 1024 * 1024,
  fetch: (request) => app.fetch(request, { peerAddress: null }),
});
// Many connections at once stall a cold process; one request warms it.
await fetch(new URL("/rest/v1/rpc/call_as", server.url), {
  method: "POST",
  headers: {
    apikey: secretKey,
    "content-profile": "mailer_api",
    "content-type": "application/json",
  },
  body: JSON.stringify({ claims: '{"role":"service","sub":"warm-up"}', fn: "clock", args: "{}" }),
});
console.log(`listening ${server.port}`);
