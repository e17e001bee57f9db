/** A wall-clock time such as `2027-03-28T09:00` in a zone, as an instant; null: it is none. */
export function instantOf(local: string, zone: string): Date | null {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?$/.test(local)) return null;
  try {
    const zoned = Temporal.PlainDateTime.from(local, { overflow: "reject" }).toZonedDateTime(zone);
    return new Date(zoned.epochMilliseconds);
  } catch {
    // RangeError: no such day, hour or zone.
    return null;
  }
}

/** What `<input type="datetime-local">` is filled with. */
export function localOf(at: Date, zone: string): string {
  const zoned = Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(zone);
  return zoned.toPlainDateTime().toString({ smallestUnit: "minute" });
}
