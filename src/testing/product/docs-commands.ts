/** One block of a page that somebody types or puts into a file. */
export interface DocsBlock {
  readonly page: string;
  /** The text between the fences. */
  readonly text: string;
  /** `settings`: lines `NAME=value` alone, for an env file; `commands`: for a shell. */
  readonly kind: "settings" | "commands";
}

/** Every block of a page that is marked as `sh`, also those that are indented in a list. */
export function blocksOf(page: string, markdown: string): DocsBlock[] {
  const found = markdown.matchAll(/^( *)```sh\n([\s\S]*?)^ *```$/gm);
  return Array.from(found, ([, indent = "", body = ""]) => {
    const text = body.replace(new RegExp(`^${indent}`, "gm"), "");
    const lines = text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
    const isSettings = lines.every((line) => /^[A-Z][A-Z0-9_]*=(?!"?\$)/.test(line));
    return { page, text, kind: isSettings ? "settings" : "commands" } as const;
  });
}

/** The commands of a block: lines that a backslash, a quote or `<<END` continues are one. */
export function commandsOf(text: string): string[] {
  const commands: string[] = [];
  let open = "";
  for (const line of text.split("\n")) {
    open = open === "" ? line : `${open}\n${line}`;
    if (isOpen(open)) continue;
    if (open.trim() !== "" && !open.trim().startsWith("#")) commands.push(open.trim());
    open = "";
  }
  if (open.trim() !== "") throw new Error(`a command that does not end: ${open}`);
  return commands;
}

function isOpen(command: string): boolean {
  const marker = /<<(\w+)/.exec(command)?.[1];
  if (marker !== undefined) return !new RegExp(`^${marker}$`, "m").test(command);
  const quotes = (command.match(/'/g) ?? []).length;
  return command.endsWith("\\") || quotes % 2 === 1;
}
