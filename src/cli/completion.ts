import { type Command, UsageError } from "./command.ts";

const usage = `Usage: taskforce-mailer completion bash|zsh|fish

Prints a script that completes the commands and their options.

Examples:
  taskforce-mailer completion bash > /etc/bash_completion.d/taskforce-mailer
  taskforce-mailer completion zsh > "\${fpath[1]}/_taskforce-mailer"
  taskforce-mailer completion fish > ~/.config/fish/completions/taskforce-mailer.fish`;

const program = "taskforce-mailer";

type Completed = Pick<Command, "name" | "summary" | "usage">;

/** `commands`: all of them, itself as well; asked for when it runs. */
export function createCompletionCommand(commands: () => readonly Completed[]): Command {
  return {
    name: "completion",
    summary: "print completions for bash, zsh or fish",
    usage,
    async run(args, { stdout }) {
      const [shell = "", ...more] = args;
      const write = more.length === 0 ? shells[shell] : undefined;
      if (write === undefined) throw new UsageError("expected bash, zsh or fish");
      stdout.write(write(commands()));
      return 0;
    },
  };
}

const shells: Readonly<Record<string, (commands: readonly Completed[]) => string>> = {
  bash: (commands) => `# bash completion of ${program}
_taskforce_mailer() {
  local word=\${COMP_WORDS[COMP_CWORD]} options
  if [[ $COMP_CWORD == 1 ]]; then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(" ")}" -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${commands.map((one) => `    ${one.name}) options="${optionsOf(one).join(" ")}" ;;`).join("\n")}
  esac
  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word")); fi
}
complete -o default -F _taskforce_mailer ${program}
`,
  zsh: (commands) => `#compdef ${program}
_taskforce_mailer() {
  local -a commands options
  commands=(
${commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary.replaceAll(":", "\\:")}`)}`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case \${words[2]} in
${commands.map((one) => `    ${one.name}) options=(${optionsOf(one).join(" ")}) ;;`).join("\n")}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then compadd -- $options; else _files; fi
}
compdef _taskforce_mailer ${program}
`,
  fish: (commands) =>
    [
      `# fish completion of ${program}`,
      ...commands.map(
        ({ name, summary }) =>
          `complete -c ${program} -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
      ),
      ...commands.flatMap((one) =>
        optionsOf(one).map(
          (option) =>
            `complete -c ${program} -n '__fish_seen_subcommand_from ${one.name}' -l ${option.slice(2)}`,
        ),
      ),
      "",
    ].join("\n"),
};

/** As the help names them, so that both are the same. */
function optionsOf({ usage: help }: Completed): string[] {
  const named = help.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? [];
  return [...new Set([...named, "--help"])].sort();
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
