import { parseMessage } from "../../parsed-message.ts";
import type { Frame } from "../frame.tsx";
import { absoluteWords, exactWords } from "../words.ts";

/** What a dry run says of a draft. */
export interface DryRun {
  /** As it would go out. */
  message: Uint8Array;
  scheduledAt: Date;
  warnings: readonly string[];
}

const look = `<style>
.tfm{font:13px/20px system-ui,sans-serif;margin:0 0 16px;padding:8px 12px;color:#18201e;background:#eef2f0}
.tfm.fault{color:#b0302c;background:#fcecea}.tfm p{margin:0}pre{white-space:pre-wrap;font:13px/20px ui-monospace,monospace}
</style>`;

/** What the frame shows: facts and warnings above the message's HTML, or its text. */
export async function previewHtml(dryRun: DryRun, frame: Frame): Promise<string> {
  const { message, scheduledAt, warnings } = dryRun;
  const { subject, html, text } = await parseMessage(message);
  const facts = [
    `<b>${escaped(subject)}</b>`,
    escaped(`Goes out ${absoluteWords(scheduledAt, frame)} (${exactWords(scheduledAt)})`),
    ...warnings.map((warning) => `⚠ ${escaped(warning)}`),
  ];
  const body = html ?? `<pre>${escaped(text ?? "")}</pre>`;
  return `${look}<div class="tfm">${facts.map((fact) => `<p>${fact}</p>`).join("")}</div>${body}`;
}

export function faultHtml(words: string): string {
  return `${look}<div class="tfm fault"><p>${escaped(words)}</p></div>`;
}

function escaped(text: string): string {
  return Bun.escapeHTML(text);
}
