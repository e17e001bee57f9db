const largeBytes = 16 * 1024 * 1024;

/**
 * Frees what a large message left behind. The engine sees small objects only, with megabytes
 * behind each of them outside its heap, and would let a gigabyte gather before it collects.
 */
export function collectAfter(bytes: number): void {
  if (bytes >= largeBytes) Bun.gc(true);
}
