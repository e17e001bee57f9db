const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const months = [
  ...["Jan", "Feb", "Mar", "Apr", "May", "Jun"],
  ...["Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
];

/** `Date: Tue, 24 Nov 2026 03:00:00 +0000` with its line end (RFC 5322 section 3.3). */
export function dateHeader(date: Date): string {
  const day = String(date.getUTCDate()).padStart(2, "0");
  const time = date.toISOString().slice(11, 19);
  const weekday = days[date.getUTCDay()];
  const month = months[date.getUTCMonth()];
  return `Date: ${weekday}, ${day} ${month} ${date.getUTCFullYear()} ${time} +0000\r\n`;
}

/** What goes in front of the message: its Date, unless a finished one came with its own. */
export function dateBefore(message: Uint8Array, date: Date): string {
  return hasDate(message) ? "" : dateHeader(date);
}

/** The message as it goes over the wire: its Date, left open when it was composed, in front. */
export function withDate(message: Uint8Array, date: Date): Uint8Array {
  return Buffer.concat([Buffer.from(dateBefore(message, date), "ascii"), message]);
}

/** No message that is composed here has one. */
function hasDate(message: Uint8Array): boolean {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const end = bytes.indexOf("\r\n\r\n");
  const head = bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
  return /(?:^|\r\n)date:/i.test(head);
}

/**
 * Cut to what the header can say, whole seconds, so that the instant recorded with the fence
 * makes the same bytes again when an uncertain attempt is repeated.
 */
export function wholeSeconds(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000);
}
