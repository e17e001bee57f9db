import { describe, expect, test } from "bun:test";
import { pauseWords } from "../../doctor/pause-words.ts";
import { faultWords } from "../../mail/transport-fault.ts";
import { sentencesOf } from "../../testing/fixtures/sentences.ts";

const root = `${import.meta.dirname}/../../..`;
const pageText = (name: string) => Bun.file(`${root}/public/docs/${name}.md`).text();

describe("troubleshooting", () => {
  test("explains every sentence that doctor and /health can say", async () => {
    const said = [
      ...sentencesOf(`${root}/src`, ["doctor/*.ts", "server/health.ts", "queue/*.ts"]),
      ...Object.values(faultWords),
    ];
    // A reader of the source that finds nothing any more would let everything pass.
    expect(said.length).toBeGreaterThan(45);
    expect(said).toContain("Redis does not answer");
    const page = await pageText("troubleshooting");
    expect(said.filter((sentence) => !page.includes(`| ${sentence} |`))).toEqual([]);
  });

  test("explains a pause, however it is worded", async () => {
    const pause = { kind: "region", name: "fra", pausedAt: new Date(0) } as const;
    const words = pauseWords([{ ...pause, pausedBy: "ada", reason: "a test" }]);
    expect(words).toContain("is paused since");
    expect(await pageText("troubleshooting")).toContain("| is paused since |");
  });
});

describe("runbook", () => {
  test("has a section for every alert, in their order, and for nothing else", async () => {
    const rules = Bun.YAML.parse(await Bun.file(`${root}/scripts/prometheus-alerts.yml`).text());
    const { groups } = rules as { groups: { rules: { alert: string }[] }[] };
    const alerts = groups.flatMap((group) => group.rules.map(({ alert }) => alert));
    const sections = (await pageText("runbook")).matchAll(/^## (\S+)$/gm);
    expect(Array.from(sections, ([, name = ""]) => name).sort()).toEqual(alerts.sort());
  });
});

describe("guarantees", () => {
  test("its figures are those of scripts/faults/RESULTS.md", async () => {
    const results = await Bun.file(`${root}/scripts/faults/RESULTS.md`).text();
    const recorded = results
      .split("## The same faults")[0]
      ?.split("\n")
      .filter((line) => /^\| [a-z0-9-]+ \| \d/.test(line))
      .map((line) => line.split("|").map((cell) => cell.trim()));
    const told = (await pageText("guarantees"))
      .split("\n")
      .filter((line) => /^\| .* \| [\d,]+ \| \d/.test(line))
      .map((line) => line.split("|").map((cell) => cell.trim()));
    expect(told.length).toBeGreaterThan(15);
    const figures = (cells: string[], at: number[]) => at.map((index) => cells[index]).join(" / ");
    const known = new Set(recorded?.map((cells) => figures(cells, [2, 3, 4, 5, 7, 13])));
    const unknown = told
      .map((cells) => [cells[1], figures(cells, [2, 3, 4, 5, 6, 7]).replaceAll(",", "")])
      .filter(([, words]) => !known.has(words ?? ""));
    expect(unknown).toEqual([]);
  });
});
