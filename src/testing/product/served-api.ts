import { type Command, runCommand } from "../../cli/command.ts";
import { createApp } from "../../http/app.ts";
import { startTestApi, type TestApi } from "./test-api.ts";

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** The API at an address of this machine, and commands that are run against it as `ada`. */
export interface ServedApi {
  api: TestApi;
  url: string;
  /** What a command needs to find it. */
  env: Record<string, string>;
  run(command: Command, args: string[], given?: CommandGiven): Promise<CommandResult>;
  close(): Promise<void>;
}

export interface CommandGiven {
  isTty?: boolean;
  env?: Record<string, string>;
}

/** `answer` may take the place of the API's, by throwing away what it said. */
export async function startServedApi(
  answer: (req: Request, next: () => Promise<Response>) => Promise<Response> = (_, next) => next(),
): Promise<ServedApi> {
  const api = await startTestApi();
  const app = createApp(api.deps);
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (req, own) => answer(req, async () => await app.fetch(req, { server: own })),
  });
  const body = { name: "command line", scopes: ["send", "read"] };
  const made = await api.request<{ key: string }>("POST", "/api/v1/api-keys", { body });
  const env = {
    TASKFORCE_MAILER_URL: String(server.url),
    TASKFORCE_MAILER_TOKEN: made.json.data.key,
  };
  return {
    api,
    url: String(server.url),
    env,
    async run(command, args, { isTty = false, env: more = {} } = {}) {
      const written = { stdout: "", stderr: "" };
      const writer = (name: "stdout" | "stderr") => ({
        write: (text: string) => {
          written[name] += text;
        },
      });
      const io = {
        stdout: writer("stdout"),
        stderr: writer("stderr"),
        isTty,
        env: { ...env, ...more },
      };
      return { code: await runCommand(command, args, io), ...written };
    },
    async close() {
      await server.stop(true);
      await api.close();
    },
  };
}
