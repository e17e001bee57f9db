import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Queue, Worker } from "bullmq";
import nodemailer from "nodemailer";
import pg from "pg";
import { type BenchMail, benchSender } from "./messages.ts";

/**
 * What one writes after an evening of tutorials, and good of its kind: Express; one insert per
 * mail; a delayed BullMQ job that holds the whole mail; a worker with concurrency 50; nodemailer
 * without a pool, as its first example has it. `/insert` is the same without the queue.
 */

interface StoredMail extends BenchMail {
  sendAt?: string;
}

interface JsonRequest extends IncomingMessage {
  body: StoredMail;
}

interface JsonResponse extends ServerResponse {
  status(code: number): JsonResponse;
  json(value: unknown): void;
}

type Route = (req: JsonRequest, res: JsonResponse) => Promise<void>;

/** The little of Express that is used here; the package is not one of the product's. */
interface Express {
  (): { use(layer: unknown): void; post(path: string, route: Route): void; listen: Listen };
  json(options: { limit: string }): unknown;
}
type Listen = (port: number, host: string, onListening: () => void) => Server;

const { EXPRESS = "", DATABASE_URL = "", REDIS_PORT = "", SMTP_PORT = "" } = process.env;
const connection = { host: "127.0.0.1", port: Number(REDIS_PORT) };

async function startNaive(): Promise<void> {
  const express = (await import(EXPRESS)).default as Express;
  const database = new pg.Pool({ connectionString: DATABASE_URL, max: 20 });
  await database.query(`create table if not exists mails (id uuid primary key default
    gen_random_uuid(), recipient text, subject text, body text, html text, send_at timestamptz)`);
  const queue = new Queue<StoredMail>("mail", { connection });
  const app = express();
  app.use(express.json({ limit: "1mb" }));

  async function insert({ to, subject, text, html, sendAt }: StoredMail): Promise<string> {
    const { rows } = await database.query<{ id: string }>(
      `insert into mails (recipient, subject, body, html, send_at)
       values ($1, $2, $3, $4, $5) returning id`,
      [to, subject, text, html, sendAt ?? null],
    );
    return rows[0]?.id ?? "";
  }

  app.post("/insert", async (req, res) => {
    res.status(201).json({ id: await insert(req.body) });
  });
  app.post("/schedule", async (req, res) => {
    const mail = req.body;
    const id = await insert(mail);
    const delay = mail.sendAt ? Math.max(0, Date.parse(mail.sendAt) - Date.now()) : 0;
    const backoff = { type: "exponential", delay: 1_000 };
    await queue.add("mail", mail, { delay, attempts: 3, backoff });
    res.status(201).json({ id });
  });

  const transport = nodemailer.createTransport({ host: "127.0.0.1", port: Number(SMTP_PORT) });
  const worker = new Worker<StoredMail>(
    "mail",
    async ({ data: { to, subject, text, html } }) => {
      await transport.sendMail({ from: benchSender, to, subject, text, html });
    },
    { connection, concurrency: 50 },
  );
  worker.on("failed", (_, error) => console.error(error.message));
  const server = app.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo;
    console.log(JSON.stringify({ url: `http://127.0.0.1:${port}` }));
  });
}

if (import.meta.main) await startNaive();
