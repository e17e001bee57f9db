/** One event of a `text/event-stream`, as WHATWG's HTML defines its fields. */
export interface Frame {
  id: string | null;
  data: string;
}

/** Frames that carry data, as their bytes come in; comments and `retry` are passed over. */
export async function* readFrames(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Frame, void, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true });
    for (let cut = text.indexOf("\n\n"); cut >= 0; cut = text.indexOf("\n\n")) {
      const frame = parseFrame(text.slice(0, cut));
      text = text.slice(cut + 2);
      if (frame) yield frame;
    }
  }
}

function parseFrame(text: string): Frame | null {
  let id: string | null = null;
  const data: string[] = [];
  for (const line of text.split("\n")) {
    const [, name, value = ""] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (name === "id") id = value;
    if (name === "data") data.push(value);
  }
  return data.length === 0 ? null : { id, data: data.join("\n") };
}
