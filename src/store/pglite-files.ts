import type { PGliteOptions } from "@electric-sql/pglite";
import initdbPath from "@electric-sql/pglite/initdb.wasm" with { type: "file" };
import dataPath from "@electric-sql/pglite/pglite.data" with { type: "file" };
import wasmPath from "@electric-sql/pglite/pglite.wasm" with { type: "file" };

type PgliteFiles = Pick<PGliteOptions, "pgliteWasmModule" | "initdbWasmModule" | "fsBundle">;

let compiled: Promise<PgliteFiles> | null = null;

/**
 * What PGlite is made of, from beside the sources or from inside the compiled binary; left to
 * itself it would look next to its own module and find nothing there. Compiled once a process
 * (about 300 ms).
 */
export function pgliteFiles(): Promise<PgliteFiles> {
  compiled ??= compileFiles();
  return compiled;
}

async function compileFiles(): Promise<PgliteFiles> {
  const [pgliteWasmModule, initdbWasmModule] = await Promise.all([
    compile(wasmPath),
    compile(initdbPath),
  ]);
  return { pgliteWasmModule, initdbWasmModule, fsBundle: Bun.file(dataPath) };
}

async function compile(path: string): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await Bun.file(path).arrayBuffer());
}
