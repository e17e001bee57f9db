import { Queue, Worker } from "bullmq";
import { Hono } from "hono";
import nodemailer from "nodemailer";

/**
 * A mail scheduler as tutorials and quick starts show it, run beside the product for contrast.
 * It is meant to be good of its kind: `queue.add` is awaited, errors reach BullMQ, attempts and
 * back-off are set, SIGTERM closes the worker. What it copies, and from where:
 *
 * - the whole mail as job data, due by `delay` (docs.bullmq.io, Jobs: Delayed);
 * - `attempts: 3` with exponential back-off of 1 s (docs.bullmq.io, Retrying failing jobs);
 * - a Worker with `concurrency: 50`, default locks (docs.bullmq.io, Workers: Concurrency);
 * - `createTransport({ host, port })` and `await sendMail(…)` (nodemailer.com, Usage);
 * - cancelling by `job.remove()` (docs.bullmq.io, Jobs: Removing);
 * - `worker.close()` on SIGTERM (docs.bullmq.io, Going to production: Graceful shutdown).
 */

interface Mail {
  to: string[];
  subject: string;
  text: string;
  /** ISO 8601; absent: now. */
  sendAt?: string;
}

/** Its own program in a process of its own, hence its own reading of the environment. */
const role = process.env.ROLE ?? "api";
const connection = { host: "127.0.0.1", port: Number(process.env.REDIS_PORT) };

function startApi(): void {
  const queue = new Queue<Mail>("mail", { connection });
  queue.on("error", console.error);
  const app = new Hono();

  app.post("/schedule", async (c) => {
    const mail = await c.req.json<Mail>();
    const delay = mail.sendAt ? Math.max(0, Date.parse(mail.sendAt) - Date.now()) : 0;
    const job = await queue.add("mail", mail, {
      delay,
      attempts: 3,
      backoff: { type: "exponential", delay: 1000 },
    });
    return c.json({ id: job.id }, 201);
  });

  app.delete("/schedule/:id", async (c) => {
    const job = await queue.getJob(c.req.param("id"));
    if (!job) return c.json({ error: "not found" }, 404);
    try {
      await job.remove();
      return c.json({ cancelled: true });
    } catch {
      // BullMQ throws for a job that is locked: it is being sent.
      return c.json({ error: "already being sent" }, 409);
    }
  });

  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: app.fetch });
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.port}` }));
  process.on("SIGTERM", () => {
    void server
      .stop()
      .then(() => queue.close())
      .then(() => process.exit(0));
  });
}

function startWorker(): void {
  const transport = nodemailer.createTransport({
    host: "127.0.0.1",
    port: Number(process.env.SMTP_PORT),
  });
  const worker = new Worker<Mail>(
    "mail",
    async (job) => {
      const { to, subject, text } = job.data;
      await transport.sendMail({ from: "mailer@example.test", to, subject, text });
    },
    { connection, concurrency: 50 },
  );
  worker.on("error", console.error);
  worker.on("failed", (job, error) => console.error(job?.id, error.message));
  worker.on("ready", () => console.log(JSON.stringify({ url: "" })));
  process.on("SIGTERM", () => {
    void worker.close().then(() => process.exit(0));
  });
}

if (import.meta.main) {
  if (role === "api") startApi();
  else startWorker();
}
