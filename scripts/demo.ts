import { parseArgs } from "node:util";
import { createNarrator, inWords } from "./demo-narrator.ts";
import { type DemoContext, scenarios } from "./demo-scenarios.ts";
import { findServer } from "./demo-server.ts";

const usage = `usage: scripts/demo [--scenario retry|send|cancel|audit] [--in <time>]

Plays one story on a Taskforce Mailer: on the one at BASE_URL (default
http://127.0.0.1:3000) when it runs, else on one started for this purpose.

  --scenario retry   the SMTP server says "try again later" twice, then takes the mail; 11 s, on a
                     server of its own (the default)
  --scenario send    hand over a mail for later, go away, see it sent; 2 min
  --scenario cancel  schedule, cancel, cancel again; nothing is sent; 6 s
  --scenario audit   what the journal says of a sent and of a cancelled mail; 5 s
  --in <time>        how far ahead the mail is scheduled, such as 20s or 2m
  --own              start an own server even if one runs

Environment: BASE_URL, TOKEN (else the binary's token command is asked, with DATA_DIR or
JWT_SECRET as the server has them), NO_COLOR.
Exit code: 0 when the story came true, 1 when not, 2 for a wrong command line.
`;

/** Milliseconds of `20s`, `2m` or a plain number of seconds; null when it is none of these. */
function parseDuration(text: string): number | null {
  const match = /^(\d+)(s|m|h)?$/.exec(text);
  if (match === null) return null;
  const unit = { s: 1_000, m: 60_000, h: 3_600_000 }[match[2] ?? "s"] ?? 1_000;
  return Number(match[1]) * unit;
}

function parseCommandLine(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      scenario: { type: "string", default: "retry" },
      in: { type: "string" },
      own: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const scenario = scenarios[values.scenario];
  if (scenario === undefined) throw new Error(`there is no scenario ${values.scenario}`);
  const aheadMs = parseDuration(values.in ?? scenario.defaultIn);
  if (aheadMs === null) throw new Error("--in takes a time such as 20s or 2m");
  return { ...values, scenario, aheadMs };
}

async function play(args: string[]): Promise<number> {
  let options: ReturnType<typeof parseCommandLine>;
  try {
    options = parseCommandLine(args);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const narrator = createNarrator(process.stdout, process.env);
  const { scenario, aheadMs, own } = options;
  narrator.say(`This takes about ${inWords(aheadMs + scenario.furtherMs)}.`);
  const server = await findServer({ narrator, isOwn: own || scenario.needsOwnServer });
  const context: DemoContext = { narrator, server, aheadMs };
  process.once("SIGINT", () => {
    void server.close().finally(() => process.exit(130));
  });
  try {
    await scenario.play(context);
    narrator.good("The story came true.");
    return 0;
  } catch (error) {
    narrator.bad(error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    await server.close();
  }
}

if (import.meta.main) {
  const code = await play(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    return 1;
  });
  process.exit(code);
}
