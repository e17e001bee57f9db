/**
 * How the memory that Bun's allocator (mimalloc) has free goes back to the system. By its defaults
 * a tenth of a second after it was freed, and the free parts of pages in use as well, whenever the
 * event loop has nothing to do. A server takes the same memory again with the next request, and
 * each page of it costs a fault: a third of the processor's time of an accepted mail on a virtual
 * machine without page tables of its own (2026-11-27, `scripts/bench/run --only accept`).
 *
 * After two seconds a burst is no larger than by the defaults, and what is idle still gives back.
 */
const allocator = { MIMALLOC_PURGE_DELAY: "2000", MIMALLOC_PURGE_HOLES: "0" };

/**
 * The engine lets its heap double while it is small beside the machine's memory, all of which it
 * takes to be ours. Beside 384 MB a burst takes 237 MB instead of 275 for the same time of the
 * processor; beside 128 MB it is 187 MB, for half as much again.
 */
const engine = { BUN_JSC_forceRAMSize: String(384 * 1024 * 1024) };

const settings = { ...allocator, ...engine };

interface Self {
  argv: string[];
  env: Record<string, string | undefined>;
  execPath: string;
  /** Replaces the process by another program, under the same id; absent on some systems. */
  execve?(file: string, args: string[], env: Record<string, string>): void;
}

/**
 * Starts the compiled program anew with these settings, which are read before its first line runs.
 * Returns where that is not to be: from source, when the environment sets any of them, or when it
 * is not possible, which costs speed only.
 */
export function settleMemory(self: Self): void {
  const isCompiled = self.argv[1]?.startsWith("/$bunfs/") === true;
  const isSet = Object.keys(settings).some((name) => self.env[name] !== undefined);
  if (!isCompiled || isSet || !self.execve) return;
  const env = { ...self.env, ...settings } as Record<string, string>;
  try {
    self.execve(self.execPath, [self.execPath, ...self.argv.slice(2)], env);
  } catch {
    // The file it was started from is gone, or may not be run again.
  }
}

// Other commands end before it matters.
const [command = "serve"] = process.argv.slice(2);
if (command === "serve") settleMemory(process);
