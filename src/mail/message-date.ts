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

/** The message as it goes over the wire: its Date, left open when it was composed, in front. */
export function withDate(message: Uint8Array, date: Date): Uint8Array {
  return Buffer.concat([Buffer.from(dateHeader(date), "ascii"), message]);
}

/**
 * Cut to what the header can say, whole seconds, so that the instant recorded with the fence
 * makes the same bytes again when an uncertain attempt is repeated.
 */
export function wholeSeconds(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000);
}
