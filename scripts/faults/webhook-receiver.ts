import { emailEventTypes } from "../../src/email/event-types.ts";
import { until } from "../../src/testing/servers/child-server.ts";
import type { ProductProcess, World } from "./world.ts";

/** Whose emails `world.others` makes. */
export const secondOwner = "eve-0";

/** One event as it came in. */
export interface Told {
  type: string;
  data: { email_id: string; sequence: number };
}

/** A receiver beside the world, and the endpoint of an owner that hears of everything. */
export interface Receiver {
  readonly id: string;
  readonly secret: string;
  readonly owner: string;
  /** What it answers from now on; null: nothing, it hangs up. */
  answer(status: number | null): void;
  /** How long after its own time each event was first told, in ms. */
  readonly lateMs: readonly number[];
  /** I9: what was told is what happened, each thing at least once, under one id. */
  judge(): Promise<void>;
}

export interface ReceiverOptions {
  /** Default `ada`, whose the load is. */
  owner?: string;
  /** What stands between a request and its answer; a response is the answer. */
  take?: (req: Request, body: string) => Promise<Response | undefined> | Response | undefined;
  /** How long everything may take to be told once all is at rest. Default 60 s. */
  toldWithinMs?: number;
}

export async function openReceiver(
  world: World,
  { owner = "ada", take, toldWithinMs = 60_000 }: ReceiverOptions = {},
): Promise<Receiver> {
  /** Ids by what was told: email, sequence and type. */
  const told = new Map<string, Set<string>>();
  const lateMs: number[] = [];
  let status: number | null = 200;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(req) {
      const at = Date.now();
      const body = await req.text();
      const { type, data, timestamp } = JSON.parse(body) as Told & { timestamp: string };
      const own = await take?.(req, body);
      if (status === null) throw new Error("it hangs up");
      if (status >= 300) return new Response("not now", { status });
      const key = `${data.email_id} ${data.sequence} ${type}`;
      if (!told.has(key)) lateMs.push(at - Date.parse(timestamp));
      told.set(key, (told.get(key) ?? new Set()).add(req.headers.get("webhook-id") ?? ""));
      return own ?? new Response("ok");
    },
    error: () => new Response("", { status: 500 }),
  });
  world.closeWith(() => server.stop(true));
  const made = await makeWebhook(world, owner, `http://127.0.0.1:${server.port}/`);
  // It hears of what is sealed from now on.
  const [sealed] = await world.sql<{ position: number }>(
    "select coalesce(max(position), 0)::int as position from mailer.seals",
  );
  // Entries that are not sealed yet are still to be told.
  const happened = async () =>
    (
      await world.sql<{ key: string }>(
        `select j.email_id || ' ' || j.sequence || ' ' || j.action as key
         from mailer.journal j left join mailer.seals s on s.entry_id = j.id
         where j.owner_id = $3 and j.action = any ($1) and coalesce(s.position > $2, true)`,
        [emailEventTypes, sealed?.position ?? 0, owner],
      )
    ).map(({ key }) => key);
  return {
    ...made,
    owner,
    lateMs,
    answer(next) {
      status = next;
    },
    async judge() {
      await until(
        "everything was told",
        async () => (await happened()).every((key) => told.has(key)),
        toldWithinMs,
      ).catch(() => undefined);
      const entries = new Set(await happened());
      const untold = [...entries].filter((key) => !told.has(key));
      const invented = [...told.keys()].filter((key) => !entries.has(key));
      const renamed = [...told].filter(([, ids]) => ids.size > 1);
      const of = owner === "ada" ? "" : ` of ${owner}`;
      if (untold.length > 0)
        world.miss(`I9: ${untold.length} events${of} never told: ${untold[0]}`);
      if (invented.length > 0) world.miss(`I9: ${invented.length} told and not so: ${invented[0]}`);
      if (renamed.length > 0) world.miss(`I9: ${renamed.length} under several ids`);
      if (entries.size === 0) world.miss("I9: nothing happened, so nothing was judged");
    },
  };
}

/** An endpoint of the owner that hears of everything. */
export async function makeWebhook(
  world: World,
  owner: string,
  url: string,
): Promise<{ id: string; secret: string }> {
  const process = apiOf(world);
  const bearer = await process.token(owner);
  const made = await process.api<{ id: string; secret: string }>(
    "POST",
    "/api/v1/webhooks",
    { url },
    bearer,
  );
  if (made.status !== 201) throw new Error(`no webhook: ${made.text}`);
  return made.body.data;
}

/**
 * Events of the second owner without any mail: emails for tomorrow, all of them cancelled, make two
 * each.
 */
export async function makeEvents(world: World, count: number): Promise<void> {
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
  const fields = { scheduled_at: tomorrow, tags: ["cancelled"] };
  const ids = await world.others.burst(count / 2, () => fields);
  const process = apiOf(world);
  const bearer = await process.token(secondOwner);
  const cancelled = await process.api<{ cancelled: number }>(
    "POST",
    "/api/v1/cancel",
    { tag: "cancelled" },
    bearer,
  );
  if (cancelled.body.data?.cancelled !== ids.length) throw new Error(cancelled.text);
  for (const id of ids) world.others.cancelled.set(id, Date.now());
}

function apiOf(world: World): ProductProcess {
  const found = world.processes.find(({ role, hasEnded }) => role !== "worker" && !hasEnded);
  if (!found) throw new Error("no process takes requests");
  return found;
}

/** Until nothing is pending or being sent: what is told then is all there is to tell. */
export async function atRest(world: World): Promise<void> {
  await until("the emails come to rest", async () => (await world.countOpen()) === 0, 120_000);
}

export function percentile99(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(sorted.length * 0.99) - 1)] ?? 0;
}
