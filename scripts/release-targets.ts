import { readFileSync } from "node:fs";
import { type Elf, readElf } from "./elf.ts";

/** A system that a release has a binary for; `scripts/build --target` takes its name. */
export interface ReleaseTarget {
  name: string;
  machine: string;
  /** The loader of its libc: glibc's or musl's. */
  interpreter: string;
  /** Every shared library that the binary may ask that system for. */
  libraries: RegExp;
}

const glibc = /^(ld-linux-.*|lib(c|m|dl|rt|pthread))\.so\.\d+$/;
/** Beside musl itself the runtime of C++, which Alpine has as packages of their own. */
const musl = /^(libc\.musl-.*\.so\.1|libstdc\+\+\.so\.6|libgcc_s\.so\.1)$/;

export const releaseTargets: readonly ReleaseTarget[] = [
  {
    name: "linux-x64",
    machine: "x86-64",
    interpreter: "/lib64/ld-linux-x86-64.so.2",
    libraries: glibc,
  },
  {
    name: "linux-x64-musl",
    machine: "x86-64",
    interpreter: "/lib/ld-musl-x86_64.so.1",
    libraries: musl,
  },
  {
    name: "linux-arm64",
    machine: "aarch64",
    interpreter: "/lib/ld-linux-aarch64.so.1",
    libraries: glibc,
  },
  {
    name: "linux-arm64-musl",
    machine: "aarch64",
    interpreter: "/lib/ld-musl-aarch64.so.1",
    libraries: musl,
  },
];

/** Why this program is none for the target. */
export function targetFaults(target: ReleaseTarget, elf: Elf): string[] {
  const faults: string[] = [];
  if (elf.machine !== target.machine) faults.push(`is for ${elf.machine}, not ${target.machine}`);
  if (elf.interpreter !== target.interpreter)
    faults.push(`asks for ${elf.interpreter ?? "no loader"}, not ${target.interpreter}`);
  const others = elf.libraries.filter((name) => !target.libraries.test(name));
  if (others.length > 0) faults.push(`needs ${others.join(", ")}`);
  return faults;
}

/** True where this machine can start what is built for the target, as it can start this Bun. */
export function runsHere(target: ReleaseTarget): boolean {
  const own = readElf(readFileSync(process.execPath));
  return own.machine === target.machine && own.interpreter === target.interpreter;
}
