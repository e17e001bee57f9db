import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The files of Bull Board's front end by their path below `ui/dist`, as `static/js/main.js`. */
export type BoardFiles = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/**
 * From the archive in the compiled binary, else from the installed package. Read once, when
 * somebody first opens the board: 3 MB that most processes never need.
 */
export function createBoardFiles(): () => Promise<BoardFiles> {
  let loading: Promise<BoardFiles> | null = null;
  return () => {
    loading ??= loadBoardFiles();
    return loading;
  };
}

async function loadBoardFiles(): Promise<BoardFiles> {
  const archive = Bun.embeddedFiles.find((file) => nameOf(file).includes("bull-board-ui"));
  return archive === undefined ? installedBoardFiles() : await unpackBoardFiles(archive);
}

/** `bun build --compile` puts a hash into the name: bull-board-ui.tar-<hash>.gz. */
function nameOf(file: Blob): string {
  return "name" in file && typeof file.name === "string" ? file.name : "";
}

/** Beside the sources; whatever the package's version calls its files. */
export function installedBoardFiles(): BoardFiles {
  const folder = join(
    dirname(Bun.resolveSync("@bull-board/ui/package.json", import.meta.dir)),
    "dist",
  );
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    files
      .sort()
      .map((path) => [path.slice(folder.length + 1), new Uint8Array(readFileSync(path))] as const),
  );
}

/** What the build embeds: a `.tar.gz` of all files. */
export async function packBoardFiles(files: BoardFiles): Promise<Uint8Array> {
  return await new Bun.Archive(Object.fromEntries(files), { compress: "gzip" }).bytes();
}

export async function unpackBoardFiles(archive: Blob): Promise<BoardFiles> {
  const files = await new Bun.Archive(await archive.bytes()).files();
  const contents = [...files].map(async ([path, file]) => [path, await file.bytes()] as const);
  return new Map(await Promise.all(contents));
}
