/** Another process, as a beat's answer names it. */
export interface SeenProcess {
  id: string;
  region: string;
  /** Rises with every beat. */
  beats: number;
  /** It has left in order. */
  isStopped: boolean;
}

/**
 * Counts how many looks in a row found a process without a new beat. No clock is asked: neither one
 * that is set nor one that runs fast makes a process dead, or keeps it alive.
 */
export interface BeatLooks {
  /** One look, as the database answered it. */
  see(others: readonly SeenProcess[]): void;
  /** A look that the database did not answer: all have to be missed anew. */
  miss(): void;
  /** Those that are dead, with the beat they were last seen at. */
  dead(): { id: string; beats: number }[];
}

/** A process beats once a second, and so does the one that looks. */
const looksMax = 5;
/** Their own region finds them first, if it lives, and queues what they held at once. */
const looksMaxElsewhere = 10;

export function createBeatLooks(options: {
  region: string;
  /** Default 5: so many looks in a row without a new beat, and a process is dead. */
  looksMax?: number;
}): BeatLooks {
  const here = options.looksMax ?? looksMax;
  const elsewhere = here + looksMaxElsewhere - looksMax;
  let seen = new Map<string, SeenProcess & { looks: number }>();

  function isDead({ region, looks, isStopped }: SeenProcess & { looks: number }): boolean {
    if (region === options.region) return isStopped || looks >= here;
    return looks >= (isStopped ? here : elsewhere);
  }

  return {
    see(others) {
      const before = seen;
      seen = new Map(
        others.map((one) => {
          const known = before.get(one.id);
          // The first look finds a beat that is new to us.
          const looks = known?.beats === one.beats ? known.looks + 1 : 0;
          return [one.id, { ...one, looks }];
        }),
      );
    },
    miss: () => seen.clear(),
    dead: () => [...seen.values()].filter(isDead).map(({ id, beats }) => ({ id, beats })),
  };
}
