import { connect } from "node:net";
import { until } from "../../src/testing/servers/child-server.ts";

/** A mail server that takes mail for anybody and hands it to one next hop. */
export interface Relay {
  readonly name: string;
  readonly port: number;
  /** Its first process; all its others descend from it. */
  readonly pid: number;
  /** Version and what was set, for the record. */
  readonly settings: string;
  /** Mails on its disk, whatever they wait for. */
  queued(): number;
  close(): Promise<void>;
}

/** Throws when it ends before it greets; `words` then says what it wrote of the reason. */
export async function untilItGreets(
  name: string,
  port: number,
  child: Bun.Subprocess,
  words: () => string = () => "",
): Promise<void> {
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  await until(`${name} greets`, async () => hasEnded() || (await greets(port)), 60_000).catch(
    (error: Error) => {
      throw new Error(`${error.message} ${words()}`);
    },
  );
  if (hasEnded()) throw new Error(`${name} ended at once ${words()}`);
}

/** A deferred mail keeps the queue full, and this throws. */
export async function untilQueueIsEmpty(relay: Relay, timeoutMs: number): Promise<void> {
  await until(`${relay.name}'s queue is empty`, () => relay.queued() === 0, timeoutMs);
}

/** Its greeting, not only its port: Haraka has been seen to die of its first connection. */
async function greets(port: number): Promise<boolean> {
  const greeted = Promise.withResolvers<boolean>();
  const socket = connect(port, "127.0.0.1");
  socket.setTimeout(5_000, () => greeted.resolve(false));
  socket.once("data", (words) => greeted.resolve(words.toString().startsWith("220")));
  socket.once("error", () => greeted.resolve(false));
  socket.once("close", () => greeted.resolve(false));
  return greeted.promise.finally(() => socket.destroy());
}
