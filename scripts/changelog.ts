/**
 * CHANGELOG.md in the format of Keep a Changelog: `## [Unreleased]`, below it one section for each
 * release, newest first, headed `## [1.2.3] - 2026-11-30`.
 */

export interface ChangelogSection {
  /** `Unreleased`, or a version. */
  name: string;
  /** Everything below the heading, without blank lines around it. */
  text: string;
}

const unreleased = "Unreleased";

export function sectionsOf(changelog: string): ChangelogSection[] {
  return changelog
    .split(/^(?=## \[)/m)
    .slice(1)
    .map((section) => {
      const [, name = ""] = /^## \[([^\]]+)\]/.exec(section) ?? [];
      return { name, text: section.slice(section.indexOf("\n")).trim() };
    });
}

/** The text of one section; null when there is none of that name. */
export function sectionOf(changelog: string, name: string): string | null {
  return sectionsOf(changelog).find((section) => section.name === name)?.text ?? null;
}

/** Why this changelog cannot become that of a release of `version`. */
export function changelogFaults(changelog: string, version: string): string[] {
  const open = sectionOf(changelog, unreleased);
  const faults: string[] = [];
  if (open === null) faults.push("CHANGELOG.md has no section [Unreleased]");
  else if (isEmpty(open))
    faults.push("CHANGELOG.md: [Unreleased] is empty, so there is nothing to release");
  if (sectionOf(changelog, version) !== null)
    faults.push(`CHANGELOG.md has a section [${version}] already`);
  return faults;
}

/** True of a section with headings and nothing below them. */
function isEmpty(text: string): boolean {
  return text.split("\n").every((line) => line.trim() === "" || line.startsWith("###"));
}

/** [Unreleased] becomes the section of `version`, below a new and empty [Unreleased]. */
export function releasedChangelog(changelog: string, version: string, date: string): string {
  const heading = `## [${unreleased}]\n`;
  return changelog.replace(heading, () => `${heading}\n## [${version}] - ${date}\n`);
}
