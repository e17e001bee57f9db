import nodemailer from "nodemailer";
import { benchMail, benchSender } from "./messages.ts";

/**
 * What the library reaches that does the sending, with nothing around it: no queue, no database,
 * no fence. `pool` composes each mail as it sends it; `raw` sends bytes composed beforehand.
 * One run for each line of its input: `<prefix> <count>`, answered with milliseconds and CPU.
 */

async function compose(prefix: string, index: number): Promise<Buffer> {
  const composer = nodemailer.createTransport({ streamTransport: true, buffer: true });
  const { to, subject, text, html } = benchMail(prefix, index);
  const { message } = await composer.sendMail({ from: benchSender, to, subject, text, html });
  return message as Buffer;
}

async function main(): Promise<void> {
  const [kind, port, connections] = process.argv.slice(2);
  const pool = nodemailer.createTransport({
    pool: true,
    host: "127.0.0.1",
    port: Number(port),
    maxConnections: Number(connections),
    maxMessages: Number.POSITIVE_INFINITY,
    ignoreTLS: true,
  });
  for await (const line of console) {
    const [prefix = "", words] = line.split(" ");
    const indexes = Array.from({ length: Number(words) }, (_, index) => index);
    const raws =
      kind === "raw" ? await Promise.all(indexes.map((index) => compose(prefix, index))) : [];
    const startedAt = Date.now();
    const before = process.cpuUsage();
    await Promise.all(
      indexes.map((index) => {
        const { to, subject, text, html } = benchMail(prefix, index);
        const raw = raws[index];
        return pool.sendMail(
          raw
            ? { envelope: { from: benchSender, to }, raw }
            : { from: benchSender, to, subject, text, html },
        );
      }),
    );
    const { user, system } = process.cpuUsage(before);
    const cpuMs = (user + system) / 1_000;
    console.log(JSON.stringify({ startedAt, cpuMs }));
  }
}

if (import.meta.main) await main();
