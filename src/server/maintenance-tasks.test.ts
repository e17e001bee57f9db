import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createSigningKey } from "../crypto/signing-key.ts";
import { createLogger } from "../log.ts";
import { createChainParts } from "../store/chain-parts.ts";
import { createCheckpointKeeper } from "../store/checkpoint-keeper.ts";
import { createEmails } from "../store/emails.ts";
import { createJournal } from "../store/journal.ts";
import { createMaintenance } from "../store/maintenance.ts";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { joinRegion } from "../testing/product/region-process.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { createMaintenanceRunner } from "./maintenance.ts";
import { maintenanceTasks } from "./maintenance-tasks.ts";

setDefaultTimeout(60_000);

const log = createLogger({ level: "silent" });
const place = { workerId: crypto.randomUUID(), region: "local" };

async function tasksOn({ database }: OpenDatabase) {
  const { presence } = await joinRegion(database, "local");
  return maintenanceTasks({
    ...{ presence, log },
    config: { retention: { contentDays: 90, recordDays: 365, journalDays: null } },
    maintenance: createMaintenance(database, place),
    chainParts: createChainParts(database, place),
    checkpoints: createCheckpointKeeper(database, place),
    checkpointKey: createSigningKey({ auditSigningKey: null, encryptionKey: "ab".repeat(32) }),
  });
}

/** The names in the table of the manual. */
async function documented(): Promise<string[]> {
  const manual = await Bun.file(`${import.meta.dirname}/../../public/docs/operations.md`).text();
  const [, section = ""] = manual.split("\n## Periodic work\n");
  return [...section.matchAll(/^\| `([a-z-]+)`/gm)].map(([, name = ""]) => name);
}

describe.each(drivers)("the periodic work on $driver", ({ open }) => {
  let opened: OpenDatabase;
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(() => opened?.close());

  test("each part runs on an empty database and on one that is used, and shows its counts", async () => {
    const tasks = await tasksOn(opened);
    const maintenance = createMaintenance(opened.database, place);
    const runner = createMaintenanceRunner({ maintenance, tasks, backend: null, log });
    const runAll = async () => {
      for (const { name } of tasks) await runner.runNow(name);
      return Object.fromEntries(
        (await maintenance.list()).map(({ name, result }) => [name, result]),
      );
    };
    expect(await runAll()).toEqual({
      "idempotency-keys": { looked_at: 0 },
      "webhook-deliveries": { forgotten: 0 },
      minutes: { forgotten: 0 },
      sessions: { forgotten: 0 },
      retention: { shredded: 0, dropped: 0 },
      counts: { owners: 0, emails: 0, compared_in_part: 0, too_large: 0, repaired: 0 },
      verification: { entries: 0, position: 0, broken: 0 },
      checkpoints: { kept: 0, position: 0, owners: 0 },
      journal: { dropped: 0, position: 0, held_by_email: 0, refused: 0 },
    });
    await store(createEmails(opened.database), [newEmail(), newEmail()]);
    await createJournal(opened.database).seal(10);
    expect(await runAll()).toMatchObject({
      counts: { owners: 1, emails: 2, repaired: 0 },
      verification: { entries: 2, position: 2, broken: 0 },
      checkpoints: { kept: 1, position: 2, owners: 1 },
    });
  });

  test("is what the manual says", async () => {
    const names = (await tasksOn(opened)).map(({ name }) => name);
    expect(names.toSorted()).toEqual((await documented()).toSorted());
  });
});
