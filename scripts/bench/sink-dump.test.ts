import { expect, test } from "bun:test";
import { lossOf, tally } from "./sink-dump.ts";
import { lastCount } from "./sink-process.ts";

/** As smtp-sink appends them; the body holds what could be mistaken for a head. */
function dumped(to: string, id: string): string {
  return `X-Client-Addr: 127.0.0.1
X-Client-Proto: ESMTP
X-Mail-Args: <a@example.test> BODY=8BITMIME
X-Rcpt-Args: <${to}>
Received: from localhost ([127.0.0.1])
From: a@example.test
Message-ID: ${id}

Message-ID: <in-the-body@example.test>
X-Rcpt-Args: <r1-9@example.test>

`;
}

test("mails, ids and recipients are counted of one run only", () => {
  const dump =
    dumped("r1-0@example.test", "<0@x>") +
    dumped("r1-1@example.test", "<1@x>") +
    dumped("r10-1@example.test", "<2@x>") +
    dumped("warm-0@example.test", "<3@x>");
  expect(tally(dump, "r1-")).toEqual({ mails: 2, messageIds: 2, recipients: 2 });
  expect(lossOf(tally(dump, "r1-"), 2)).toEqual([]);
});

test("a lost mail is told", () => {
  const dump = dumped("r1-0@example.test", "<0@x>");
  expect(lossOf(tally(dump, "r1-"), 2)).toEqual(["1 of 2 lost"]);
});

test("a doubled mail is told, with the same Message-ID and with another", () => {
  const once = dumped("r1-0@example.test", "<0@x>");
  expect(lossOf(tally(once + once, "r1-"), 1)).toEqual(["1 doubled"]);
  const other = dumped("r1-0@example.test", "<1@x>");
  expect(lossOf(tally(once + other, "r1-"), 1)).toEqual(["1 doubled", "2 Message-IDs for 1 mails"]);
});

test("an empty dump lost everything", () => {
  expect(lossOf(tally("", "r1-"), 3)).toEqual(["3 of 3 lost"]);
});

test("the last whole counter counts, a cut one does not", () => {
  expect(lastCount("sess=1 quit=0 mesg=11\rsess=1 quit=0 mesg=12\rsess=1 quit=0 mesg=1")).toBe(12);
  expect(lastCount("sess=1 qu")).toBeNull();
});
