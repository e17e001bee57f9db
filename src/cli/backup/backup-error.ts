/** What a person can mend; the message is for a terminal. */
export class BackupError extends Error {
  override name = "BackupError";
}

/** Names the place behind an error of the file system; others pass as they are. */
export function wordsOfFault(error: unknown, path: string, left: string): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new BackupError(`the disk of ${path} is full. ${left}`);
  }
  if (/^E[A-Z]+$/.test(code)) return new BackupError(`${path}: ${code}. ${left}`);
  return error;
}
