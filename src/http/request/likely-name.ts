/** What other mail APIs call it, without case and punctuation; the first one that is known counts. */
const synonyms: Readonly<Record<string, readonly string[]>> = {
  to: ["recipients"],
  recipient: ["recipients"],
  emails: ["recipients"],
  address: ["to", "recipients"],
  email: ["to", "recipients"],
  recipients: ["to", "recipient"],
  sender: ["from"],
  title: ["subject"],
  text: ["body"],
  message: ["body"],
  plain: ["body"],
  plaintext: ["body"],
  html: ["html_body"],
  bodyhtml: ["html_body", "html"],
  htmlbody: ["html_body", "html"],
  body: ["text"],
  sendat: ["scheduled_at"],
  scheduleat: ["scheduled_at"],
  scheduledfor: ["scheduled_at"],
  deliverat: ["scheduled_at"],
  deliverytime: ["scheduled_at"],
  at: ["scheduled_at"],
  when: ["scheduled_at"],
  sentafter: ["updated_after"],
  after: ["scheduled_after"],
  before: ["scheduled_before"],
  since: ["updated_after"],
  replyto: ["reply_to"],
  retries: ["max_retries"],
  ttl: ["max_age"],
  expiry: ["expires_at"],
  state: ["status"],
  states: ["status"],
  tag: ["tags"],
  tags: ["tag"],
  category: ["tags", "tag"],
  files: ["attachments"],
  attachment: ["attachments"],
  name: ["filename"],
  data: ["content", "metadata"],
  type: ["contentType"],
  mimetype: ["contentType"],
  cid: ["content_id"],
  page: ["offset"],
  perpage: ["limit"],
  pagesize: ["limit"],
  order: ["sort"],
  orderby: ["sort"],
};

/** Longer names are nobody's slip, and comparing them takes time. */
const comparedLengthMax = 40;

/** The one of `known` that whoever wrote `name` is likely to mean; null: none is near. */
export function likelyName(name: string, known: readonly string[]): string | null {
  if (name.length > comparedLengthMax) return null;
  const plain = plainName(name);
  const alike = known.find((one) => plainOf(one) === plain);
  if (alike !== undefined) return alike;
  const meant = Object.hasOwn(synonyms, plain) ? synonyms[plain] : [];
  const synonym = meant?.find((one) => known.includes(one));
  return synonym ?? nearest(plain, known);
}

/** The words that follow a fault about an unknown name. */
export function likelyHint(name: string, known: readonly string[]): string {
  const likely = likelyName(name, known);
  return likely === null ? "" : `; did you mean "${likely}"?`;
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}

/** Of names that are known, which are few; a caller's are not kept. */
const plainNames = new Map<string, string>();

function plainOf(known: string): string {
  let plain = plainNames.get(known);
  if (plain === undefined) {
    plain = plainName(known);
    plainNames.set(known, plain);
  }
  return plain;
}

/** At most two letters wrong, and fewer than a third of them. */
function nearest(plain: string, known: readonly string[]): string | null {
  const most = Math.min(2, Math.ceil(plain.length / 3) - 1);
  let best: { one: string; distance: number } | null = null;
  for (const one of known) {
    const other = plainOf(one);
    // As many letters are wrong at least.
    if (Math.abs(other.length - plain.length) > most) continue;
    const distance = editDistance(plain, other);
    if (distance <= most && distance < (best?.distance ?? Number.POSITIVE_INFINITY)) {
      best = { one, distance };
    }
  }
  return best?.one ?? null;
}

/** Optimal string alignment: a letter more, less or other, or two neighbours swapped, count one. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let least = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + cost,
      );
      const isSwapped = row > 1 && column > 1 && a[row - 1] === b[column - 2];
      if (isSwapped && a[row - 2] === b[column - 1]) {
        least = Math.min(least, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(least);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}
