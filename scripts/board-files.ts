/**
 * Writes the archive of Bull Board's front end that the compiled binary carries:
 * `bun scripts/board-files.ts dist/bull-board-ui.tar.gz`.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { installedBoardFiles, packBoardFiles } from "../src/admin/board/board-files.ts";

const [target] = process.argv.slice(2);
if (target === undefined) {
  console.error("usage: bun scripts/board-files.ts <file.tar.gz>");
  process.exit(2);
}

const files = installedBoardFiles();
const archive = await packBoardFiles(files);
mkdirSync(dirname(target), { recursive: true });
await Bun.write(target, archive);
console.log(`${target}: ${files.size} files, ${(archive.length / 1e6).toFixed(1)} MB`);
