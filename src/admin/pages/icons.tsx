import type { Child } from "hono/jsx";
import { type ShownState, stateWords } from "./words.ts";

/** Drawn on 16 by 16; a state is told by its shape, and by its colour besides. */
const shapes: Record<ShownState, Child> = {
  pending: <circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="1.8" />,
  deferred: (
    <circle
      cx="8"
      cy="8"
      r="5.5"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-dasharray="2.6 2"
    />
  ),
  sending: (
    <g fill="none" stroke="currentColor" stroke-width="1.8">
      <circle cx="8" cy="8" r="5.5" />
      <path d="M8 2.5a5.5 5.5 0 0 0 0 11z" fill="currentColor" />
    </g>
  ),
  sent: (
    <g>
      <circle cx="8" cy="8" r="6.4" fill="currentColor" />
      <path class="cut" d="m5.2 8.3 2 2 3.6-4.2" fill="none" stroke-width="1.7" />
    </g>
  ),
  partially_sent: (
    <g fill="none" stroke="currentColor" stroke-width="1.8">
      <circle cx="8" cy="8" r="5.5" />
      <path d="M8 2.5a5.5 5.5 0 0 1 0 11z" fill="currentColor" />
    </g>
  ),
  failed: <path d="m4 4 8 8m0-8-8 8" fill="none" stroke="currentColor" stroke-width="2.2" />,
  uncertain: (
    <path
      d="M5.2 5.8a2.8 2.8 0 1 1 4.3 2.4C8.4 8.9 8 9.3 8 10.4M8 12.6v1"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
    />
  ),
  held: <path d="M5.5 3.5v9m5-9v9" fill="none" stroke="currentColor" stroke-width="2.4" />,
  cancelled: (
    <g fill="none" stroke="currentColor" stroke-width="1.8">
      <circle cx="8" cy="8" r="5.5" />
      <path d="m4.2 11.8 7.6-7.6" />
    </g>
  ),
  expired: (
    <path
      d="M4 2.8h8M4 13.2h8M5 3c0 5 6 5 6 10M11 3c0 5-6 5-6 10"
      fill="none"
      stroke="currentColor"
      stroke-width="1.6"
    />
  ),
  suppressed: <path d="M3 8h10" fill="none" stroke="currentColor" stroke-width="2.4" />,
};

/** The sign of a state; its name is for screen readers unless it stands beside. */
export function StateMark({ state, isNamed = false }: { state: ShownState; isNamed?: boolean }) {
  return (
    <span class={`state ${state}`} title={isNamed ? undefined : stateWords[state]}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        {shapes[state]}
      </svg>
      <span class={isNamed ? undefined : "unseen"}>{stateWords[state]}</span>
    </span>
  );
}

const drawings = {
  home: "M3 9.5 10 3.5l7 6V17h-5v-5H8v5H3z",
  emails: "M2.5 5h15v10.5h-15zM3 5.5l7 5.5 7-5.5",
  dead: "M10 3 18 16.5H2zM10 8v4m0 2v.500",
  compose: "M4 13.5 13.5 4l2.5 2.5L6.5 16H4zM11.5 6l2.5 2.5",
  webhooks:
    "M6 7a3 3 0 1 1 4.5 2.6L13 14m1.5-.500a2.5 2.5 0 1 1-2.5 2H7m-2.5-2A2.5 2.5 0 1 0 7 15.5L9 11",
  keys: "M12.5 3.5a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM9.5 10.5 3 17m2-2 2 2",
  audit: "M5 3h7l3.5 3.5V17H5zM7.5 9h5m-5 3h5",
  health: "M2.5 10h4l2-5 3 10 2-5h4",
  settings: "M3 6h8m4 0h2M3 14h2m4 0h8M11 4v4m-6 4v4",
  queues: "M3 4.5h14v4H3zM3 11.5h14v4H3z",
} as const;
export type IconName = keyof typeof drawings;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
      <path
        d={drawings[name]}
        fill="none"
        stroke="currentColor"
        stroke-width="1.5"
        stroke-linejoin="round"
        stroke-linecap="round"
      />
    </svg>
  );
}
