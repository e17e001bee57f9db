/** Bytes of one reply at most, and of a line that never ends. */
const replyBytesMax = 64 * 1024;

export interface SmtpLines {
  /** Hands over every complete reply, its lines parted by LF. False: too much for a reply. */
  feed(chunk: Buffer): boolean;
  /** What came after the last complete reply; a connection that breaks may leave a reply half said. */
  readonly rest: string;
}

/** Takes a server's bytes apart into replies (RFC 5321 section 4.2). Empty lines are none. */
export function createSmtpLines(onReply: (reply: string) => void): SmtpLines {
  /** A line without its end, and a reply whose last line is still to come. */
  let line = "";
  let lines = "";

  function end(text: string): void {
    const isContinued = /^\d+-/.test(text);
    lines = lines === "" ? text : `${lines}\n${text}`;
    if (isContinued) return;
    const reply = lines;
    lines = "";
    if (reply.trim() !== "") onReply(decoded(reply));
  }

  return {
    feed(chunk) {
      line += chunk.toString("latin1");
      for (let lf = line.indexOf("\n"); lf >= 0; lf = line.indexOf("\n")) {
        const text = line.slice(0, lf);
        line = line.slice(lf + 1);
        end(text.endsWith("\r") ? text.slice(0, -1) : text);
      }
      return line.length + lines.length <= replyBytesMax;
    },
    get rest() {
      return decoded((lines === "" ? line : `${lines}\n${line}`).trim());
    },
  };
}

/** UTF-8 where it is that; else each byte for itself. */
function decoded(text: string): string {
  if (!/[\x80-\xff]/.test(text)) return text;
  const utf8 = Buffer.from(text, "latin1").toString("utf8");
  return utf8.includes("\ufffd") ? text : utf8;
}
