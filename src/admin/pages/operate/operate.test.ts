import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createFleetStore, type TransportState } from "../../../store/fleet.ts";
import { createJournal } from "../../../store/journal.ts";
import { createMinutes, latenessBoundsMs } from "../../../store/minutes.ts";
import { createPresence } from "../../../store/presence.ts";
import { startTestApi, type TestApi } from "../../../testing/product/test-api.ts";
import {
  bearerOf,
  consoleBase,
  createTestConsole,
  pagesOf,
} from "../../../testing/product/test-console.ts";

const own = { Origin: consoleBase };
const ada = { ...(await bearerOf("ada")), ...own };
const bob = { ...(await bearerOf("bob")), ...own };
const admin = { ...(await bearerOf("ops", "admin")), ...own };

let api: TestApi;
let page: ReturnType<typeof createTestConsole>;
let id: string;
beforeAll(async () => {
  api = await startTestApi();
  page = createTestConsole(pagesOf(api));
  id = await api.schedule();
  await api.schedule({}, { as: "bob" });
  await createJournal(api.database).seal(1_000);
});
afterAll(() => api?.close());

const html = async (path: string, as = ada) => await (await page.get(path, as)).text();

describe("the audit page", () => {
  test("shows one's own entries, an admin everybody's, and leads to the email", async () => {
    expect(await html("/console/audit")).toContain(`href="/console/emails/${id}"`);
    expect(await html("/console/audit", bob)).not.toContain(id);
    expect((await html("/console/audit", admin)).match(/<td>email.scheduled</g)).toHaveLength(2);
  });

  test("filters by action, actor and email; what can be none finds all", async () => {
    expect(await html("/console/audit?action=email.sent")).toContain("No entry matches");
    expect(await html(`/console/audit?email=${id}&actor=ada`)).toContain(id);
    expect(await html("/console/audit?action=%27;drop&email=x")).toContain(id);
  });

  test("verifies the chains", async () => {
    expect(await html("/console/audit?verify=true", admin)).toContain(
      "The journal is whole: 2 entries checked.",
    );
  });

  test("is taken along as lines that a verifier reads", async () => {
    const response = await page.get("/console/audit/export", ada);
    expect(response.headers.get("Content-Disposition")).toContain("journal.ndjson");
    const lines = (await response.text()).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).email_id)).toEqual([id]);
  });
});

describe("how it runs", () => {
  const name = "smtp.example.net:587";
  const said = "535 5.7.8 at AUTH: bad <credentials>";
  const down: TransportState = {
    ...{ name, breaker: "open", reply: said, since: "2026-01-01T00:00:00.000Z" },
    ...{ reason: "the server refuses our login", smtpCode: 535, workedMsAgo: null },
    detail: `the server refuses our login (${said}); emails wait without spending attempts`,
    nextProbeAt: new Date(Date.now() + 30_000).toISOString(),
  };

  /** Another process of the fleet says this of its transports. */
  async function tell(transports: TransportState[], region = "fra"): Promise<string> {
    const workerId = Bun.randomUUIDv7();
    const presence = createPresence(api.database, {
      ...{ workerId, region, role: "worker", replyTimeoutMs: 1_000, deadAfterMs: 5_000 },
    });
    await presence.beat();
    const store = createFleetStore(api.database, { workerId, region });
    await store.report({ transports, queue: null, unsettled: 0 });
    return workerId;
  }
  const press = (transport: string, as = admin) =>
    page.post("/console/health/probe", { transport }, as);
  const entries = async () =>
    (await html("/console/audit?action=transport.probe_requested", admin)).split(name).length - 1;
  const flashOf = (response: Response) =>
    decodeURIComponent(response.headers.get("Set-Cookie") ?? "");

  test("admins see processes and transports with the server's last words, others do not", async () => {
    const worker = await tell([down]);
    const shown = await html("/console/health", admin);
    expect(shown).toContain(`<code>…${worker.slice(-8)}</code>`);
    expect(shown).toContain("0 emails");
    expect(shown).toContain("535 5.7.8 at AUTH: bad &lt;credentials&gt;");
    expect(shown).toContain("Try now");
    expect(shown).toContain("the server refuses our login");
    const theirs = await html("/console/health", bob);
    for (const word of [name, worker.slice(-8), "Throughput", "Try now"]) {
      expect([word, theirs.includes(word)]).toEqual([word, false]);
    }
  });

  test("a try is an entry of the journal, and reaches whoever holds the breaker", async () => {
    await tell([down]);
    const before = await entries();
    expect(flashOf(await press(name))).toContain(`The next email tries ${name}`);
    await createJournal(api.database).seal(1_000);
    expect(await entries()).toBe(before + 1);
  });

  test("what cannot be tried is not asked for", async () => {
    await tell([{ ...down, name: "up:25", breaker: "closed", detail: null, reply: null }]);
    const before = await entries();
    expect(flashOf(await press("up:25"))).toContain("Mail gets through up:25 already.");
    for (const [response, words] of [
      [await press("nowhere:25"), "No process that lives sends by that transport."],
      [await press(name, ada), "A transport is tried by admins."],
    ] as const) {
      expect(response.status).toBe(422);
      expect(await response.text()).toContain(words);
    }
    expect((await press(name, { ...admin, Origin: "https://evil.example" })).status).toBe(403);
    await createJournal(api.database).seal(1_000);
    expect(await entries()).toBe(before);
  });

  test("the charts say what all processes did in the last hour, and in the last day", async () => {
    const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000);
    const lateness = latenessBoundsMs.map(() => 0).concat(0);
    lateness[0] = 99;
    lateness[8] = 1;
    const figures = {
      accepted: 1_200,
      sent: 97,
      partial: 0,
      deferred: 2,
      bounced: 1,
      uncertain: 0,
    };
    await createMinutes(api.database, { workerId: Bun.randomUUIDv7(), region: "fra" }).record([
      { minute: minutesAgo(5), ...figures, lateness },
      { minute: minutesAgo(120), ...figures, lateness },
    ]);
    const hour = await html("/console/health", admin);
    expect(hour).toContain('aria-label="Throughput, last hour. Accepted: 1,200, Sent: 97"');
    expect(hour).toContain("Deferred: 2, Refused: 1, Uncertain: 0");
    expect(hour).toContain("Half within: 51 ms");
    const day = await html("/console/health?span=day", admin);
    expect(day).toContain('aria-label="Throughput, last day. Accepted: 2,400, Sent: 194"');
    expect(await html("/console/health?span=%3Cb%3E", admin)).toContain("last hour. Accepted");
  });
});

describe("the emergency stop", () => {
  const press = (name: string, fields: Record<string, string>, as = admin) =>
    page.post(`/console/health/${name}`, fields, as);
  const owner = { kind: "owner", name: "ada" };

  test("holds until somebody resumes it, and says why to whom it concerns", async () => {
    await press("pause", { ...owner, reason: "a flood" });
    await api.deps.pauses.look();
    expect(await html("/console/health")).toContain("is paused by ops");
    expect(await html("/console/health", bob)).toContain("Nothing is paused.");
    await press("resume", owner);
    await api.deps.pauses.look();
    expect(await html("/console/health")).toContain("Nothing is paused.");
  });

  test("is for admins, has a reason, and a region that is known", async () => {
    const refusals = [
      [await press("pause", { ...owner, reason: "x" }, ada), "by admins"],
      [await press("pause", { ...owner, reason: "" }), "Say why"],
      [await press("pause", { kind: "region", name: "mars", reason: "x" }), "no such region"],
      [await press("pause", { kind: "owner", name: "", reason: "x" }), "Name the region"],
    ] as const;
    for (const [response, words] of refusals) {
      expect(response.status).toBe(422);
      expect(await response.text()).toContain(words);
    }
    await api.deps.pauses.look();
    expect(api.deps.pauses.last).toEqual([]);
  });
});
