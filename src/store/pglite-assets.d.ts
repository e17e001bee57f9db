/** Files of PGlite, imported with { type: "file" }: the path, also inside a compiled binary. */
declare module "@electric-sql/pglite/pglite.wasm" {
  const path: string;
  export = path;
}

declare module "@electric-sql/pglite/initdb.wasm" {
  const path: string;
  export = path;
}

declare module "@electric-sql/pglite/pglite.data" {
  const path: string;
  export = path;
}
