import type { BeatLooks } from "../store/beat-looks.ts";

/** Says that those are dead whom a test has named, at their last beat. */
export interface ToldLooks extends BeatLooks {
  tell(dead: { id: string; beats: number }): void;
}

export function createToldLooks(): ToldLooks {
  const dead: { id: string; beats: number }[] = [];
  return {
    see() {},
    miss() {},
    dead: () => dead,
    tell: (one) => void dead.push(one),
  };
}
