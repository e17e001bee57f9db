import packageJson from "../package.json" with { type: "json" };

// scripts/build replaces these two names by text; run from source they do not exist.
declare const BUILD_VERSION: string | undefined;
declare const BUILD_COMMIT: string | undefined;

/** As in package.json, such as `0.1.0`. */
export const version: string =
  typeof BUILD_VERSION === "undefined" ? packageJson.version : BUILD_VERSION;

/** The commit it was built from, 12 hex digits; null from source or without git. */
export const commit: string | null =
  typeof BUILD_COMMIT === "undefined" || BUILD_COMMIT === "" ? null : BUILD_COMMIT;
