import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { entryForState } from "../../testing/fixtures/entry-for-state.ts";
import { startTestBoard, type TestBoard } from "../../testing/product/test-board.ts";
import { replyAt } from "../../testing/servers/smtp-sink-rules.ts";

setDefaultTimeout(30_000);

let board: TestBoard;
beforeAll(async () => {
  const refusal = "550 5.1.1 No such user";
  board = await startTestBoard([
    replyAt("rcpt", refusal, { argument: "gone@example.com" }),
    replyAt("rcpt", "451 4.7.1 Greylisted", { argument: "grey@example.com" }),
  ]);
}, 60_000);
afterAll(() => board?.close());

interface BoardQueue {
  name: string;
  counts: Record<string, number>;
  jobs: {
    id: string;
    timestamp: number;
    delay: number;
    progress: unknown;
    externalUrl: { href: string };
  }[];
}

/** The queue of emails as the front end asks for it. */
async function show(query = "page=1&jobsPerPage=50"): Promise<BoardQueue> {
  const response = await board.request("GET", `/api/queues?activeQueue=emails&${query}`);
  const { queues } = (await response.json()) as { queues: BoardQueue[] };
  const found = queues.find(({ name }) => name === "emails");
  if (found === undefined) throw new Error("no queue of emails");
  return found;
}

const journal = (action: string) =>
  board.sql.query(
    "select owner_id, actor, origin from mailer.journal where action = $1 order by id",
    [action],
  );
const stateOf = async (id: string) => (await board.delivery.read(id)).status;
const later = () => board.delivery.accept({ scheduledAt: new Date(Date.now() + 600_000) });
const press = async (action: string, id: string) =>
  (await board.request("PUT", `/api/queues/emails/${id}/${action}`)).status;
const ids = async (status: string) =>
  (await show(`status=${status}&page=1&jobsPerPage=50`)).jobs.map(({ id }) => id);

test("shows each email from the database under the state that it is counted in", async () => {
  const emails = {
    delayed: await later(),
    waiting: await board.delivery.accept(),
    completed: await board.delivery.accept(),
    failed: await board.deadLetter("gone@example.com"),
    paused: await later(),
  };
  await board.delivery.run(emails.completed);
  await board.sql.query("update mailer.emails set state = 'held' where id = $1", [emails.paused]);
  await board.sql.query(entryForState, [emails.paused]);
  for (const [status, id] of Object.entries(emails)) {
    expect([status, await ids(status)]).toEqual([status, [id]]);
  }
  expect((await ids("latest")).toSorted()).toEqual(Object.values(emails).toSorted());
  expect((await show()).counts).toMatchObject({
    ...{ active: 0, waiting: 1, delayed: 1, completed: 1, failed: 1, paused: 1 },
  });
});

test("a deferred email is delayed until its next attempt, as it is counted", async () => {
  const before = (await show()).counts;
  const to = [{ address: "grey@example.com", name: null }];
  const id = await board.delivery.accept({ to });
  await board.delivery.run(id);
  // The retry schedule of the tests is over in milliseconds.
  const [row] = await board.sql.query(
    `update mailer.emails set next_attempt_at = date_trunc('second', now()) + interval '1 hour'
     where id = $1 returning next_attempt_at`,
    [id],
  );
  expect(await ids("waiting")).not.toContain(id);
  const { jobs, counts } = await show("status=delayed&page=1&jobsPerPage=50");
  const job = jobs.find((one) => one.id === id);
  expect((job?.timestamp ?? 0) + (job?.delay ?? 0)).toBe(
    new Date(String(row?.next_attempt_at)).getTime(),
  );
  expect([counts.delayed, counts.waiting]).toEqual([(before.delayed ?? 0) + 1, before.waiting]);
});

test("each has a link to its page, and what is being sent the number of its attempt", async () => {
  const id = await later();
  await board.sql.query(
    "update mailer.emails set state = 'sending', fenced_at = now(), worker_id = $2 where id = $1",
    [id, Bun.randomUUIDv7()],
  );
  const { jobs } = await show("status=active&page=1&jobsPerPage=50");
  const job = jobs.find((one) => one.id === id);
  expect(job?.externalUrl.href).toBe(`/console/emails/${id}`);
  expect(job?.progress).toEqual({ attempt: 1, of: 4, progress: 25 });
  await board.sql.query("delete from mailer.emails where id = $1", [id]);
});

test("a promotion makes it due now, and tells the dispatchers", async () => {
  const id = await later();
  const before = board.delivery.told.length;
  expect(await press("promote", id)).toBe(204);
  expect(board.delivery.told.slice(before)).toMatchObject([{ delayMs: 0 }]);
  expect(await ids("waiting")).toContain(id);
  const [entry] = await journal("email.rescheduled");
  expect(entry).toMatchObject({ owner_id: "ada", actor: "olga", origin: "192.0.2.7" });
  await board.delivery.run(id);
  expect(await stateOf(id)).toBe("sent");
  expect(await press("promote", id)).toBe(409);
});

test("a removal cancels it, and what was sent is not cancelled any more", async () => {
  const id = await later();
  expect(await press("clean", id)).toBe(204);
  expect(await stateOf(id)).toBe("cancelled");
  expect((await journal("email.cancelled")).at(-1)).toMatchObject({
    ...{ owner_id: "ada", actor: "olga", origin: "192.0.2.7" },
  });
  const sent = await board.delivery.accept();
  await board.delivery.run(sent);
  const refused = await board.request("PUT", `/api/queues/emails/${sent}/clean`);
  expect(refused.status).toBe(409);
  expect(await stateOf(sent)).toBe("sent");
});

test("a retry of a dead letter is a replay here, too", async () => {
  const id = await board.deadLetter("gone@example.com");
  expect(await press("retry", id)).toBe(204);
  expect(await stateOf(id)).toBe("pending");
});
