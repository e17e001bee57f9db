import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { emailRequest, inMs, schedule } from "../testing/product/email-requests.ts";
import { guardedFolder, runProduct, startProduct } from "../testing/product/product.ts";

setDefaultTimeout(120_000);

const folder = guardedFolder("full-disk");
/** Only root may mount a disk small enough to fill; elsewhere this is skipped, and says so. */
const isMounted =
  Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=180m", "tmpfs", folder]).exitCode === 0;
const dataDir = join(folder, "data");

describe.skipIf(!isMounted)("a full disk", () => {
  afterAll(() => {
    Bun.spawnSync(["umount", "-l", folder]);
  });

  test("is 503 with its reason, stores nothing by halves, and goes on when there is room", async () => {
    const other = join(folder, "other");
    for (const path of [dataDir, other]) mkdirSync(path);
    const product = await startProduct({ dataDir });
    const later = { scheduled_at: inMs(3_600_000) };
    const kept = [await schedule(product, later)];
    const ballast = join(folder, "ballast");
    const block = Buffer.alloc(1024 * 1024);
    const fill = () => {
      for (;;) writeFileSync(ballast, block, { flag: "a" });
    };
    expect(fill).toThrow("ENOSPC");

    const post = () => product.api("POST", "/api/v1/schedule-mail", emailRequest(later));
    let refused = await post();
    // The free space is looked at once a second; a write that meets the end first says less.
    while (!refused.body.detail?.includes("is full")) {
      if (refused.status === 201) kept.push(refused.body.data.id);
      else expect(refused.status).toBe(503);
      refused = await post();
    }
    expect(refused).toMatchObject({ status: 503, body: { code: "database_unavailable" } });
    expect(refused.headers.get("retry-after")).not.toBeNull();
    expect((await product.api("GET", "/health/ready")).status).toBe(503);
    const { code, output } = await runProduct(["serve"], { dataDir: other });
    expect([code, output]).toEqual([1, expect.stringContaining("full")]);

    rmSync(ballast);
    let accepted = await post();
    while (accepted.status === 503) accepted = await post();
    kept.push(accepted.body.data.id);
    await product.stop();
    const again = await startProduct({ dataDir });
    for (const id of kept) {
      expect((await again.api("GET", `/api/v1/status/${id}`)).body.data.status).toBe("pending");
    }
    await again.stop();
  });
});
