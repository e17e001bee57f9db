import { randomBytes } from "node:crypto";
import { productSettings, startBenchProduct } from "./bench-product.ts";
import type { Measurement } from "./measurement.ts";
import { watchMemory } from "./process-usage.ts";
import { startSink } from "./sink-process.ts";

const attachmentBytes = 25_000_000;

/** The largest mails there are, all at once; who is told 503 comes back, as a client should. */
export const attachments: Measurement = {
  name: "attachments",
  what: "Mails with 25 MB attachments, 50 at once, posted and sent: memory in our process.",
  async run(bench) {
    const count = bench.count(3, 50);
    const sink = await startSink(bench.tools, { isDumping: false });
    const us = await startBenchProduct(sink.port);
    const peaks: number[] = [];
    let refused = 0;
    const content = randomBytes(attachmentBytes).toString("base64");
    const body = JSON.stringify({
      recipients: ["bob@example.test"],
      subject: "Large",
      body: "See the attachment.",
      attachments: [{ filename: "large.bin", contentType: "application/octet-stream", content }],
    });

    async function post(): Promise<void> {
      // A 503 may have been stored all the same: only under a key it is tried again safely.
      const headers = {
        authorization: `Bearer ${us.token}`,
        "content-type": "application/json",
        "idempotency-key": crypto.randomUUID(),
      };
      for (;;) {
        const url = `${us.product.url}/api/v1/schedule-mail`;
        const res = await fetch(url, { method: "POST", headers, body });
        const text = await res.text();
        if (res.status === 201) return;
        // 409: the earlier try under this key is still running.
        if (res.status !== 503 && res.status !== 409)
          throw new Error(`${res.status}: ${text.slice(0, 300)}`);
        refused += 1;
        await Bun.sleep(1_000 * Number(res.headers.get("retry-after") ?? 1));
      }
    }

    try {
      for (let round = 1; round <= bench.rounds; round++) {
        bench.say(`round ${round}`);
        await us.restart();
        const memory = watchMemory(us.product.pid);
        const before = sink.count;
        await Promise.all(Array.from({ length: count }, post)).finally(() => memory.stop());
        await sink.waitFor(before + count, 300_000);
        await us.untilAtRest(60_000);
        peaks.push(memory.stop());
      }
      const { sent = 0 } = await us.states();
      const expected = count * bench.rounds;
      return {
        figures: [
          {
            name: `25 MB attachments, ${count} at once: resident memory, highest`,
            unit: "MB",
            values: peaks,
            target: { gate: 768, aim: 384, better: "lower" },
          },
        ],
        settings: { mails: count, "answers 503 or 409": refused, ...productSettings() },
        broken:
          sent === expected && sink.count === expected
            ? []
            : [`${expected} accepted, ${sent} sent, ${sink.count} at the sink`],
      };
    } finally {
      await us.close();
      await sink.stop();
    }
  },
};
