/** semver.org's own pattern, without build metadata. */
const identifier = "(?:0|[1-9]\\d*|\\d*[A-Za-z-][0-9A-Za-z-]*)";
const pattern = new RegExp(
  `^(?:0|[1-9]\\d*)(?:\\.(?:0|[1-9]\\d*)){2}(?:-${identifier}(?:\\.${identifier})*)?$`,
);

/** Everything of earlier releases that decides whether a version may follow. */
export interface EarlierReleases {
  /** That of package.json. */
  current: string;
  /** Of the repository, such as `v0.1.0`. */
  tags: readonly string[];
  /** Sections of the changelog that are versions. */
  sections: readonly string[];
}

/** The tag of a version. */
export function tagOf(version: string): string {
  return `v${version}`;
}

/** True of `1.0.0-rc.1`, which nobody gets who does not ask for it. */
export function isPrerelease(version: string): boolean {
  return version.includes("-");
}

/** Why this version cannot be the next one. */
export function versionFaults(version: string, earlier: EarlierReleases): string[] {
  // "+" has no place in a tag of an image, and two such versions have the same rank.
  if (!pattern.test(version))
    return [`"${version}" is no version: expected three numbers as in 1.2.3, or 1.2.3-rc.1`];
  const faults: string[] = [];
  if (earlier.tags.includes(tagOf(version)))
    faults.push(`the tag ${tagOf(version)} exists: a released version is never made anew`);
  const order = Bun.semver.order(version, earlier.current);
  if (order < 0 || (order === 0 && !isFirst(earlier)))
    faults.push(`${version} is not newer than ${earlier.current} of package.json`);
  return faults;
}

/** Only the first release may have the version that package.json began with. */
function isFirst({ tags, sections }: EarlierReleases): boolean {
  return sections.length === 0 && !tags.some((tag) => pattern.test(tag.replace(/^v/, "")));
}
