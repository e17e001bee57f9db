import { plannedMax, type Timeline } from "../../../store/timeline.ts";
import { listPath } from "../emails/list-page.tsx";
import type { Frame } from "../frame.tsx";
import { absoluteWords, counted, shownDuration } from "../words.ts";
import { type Span, windowPath, windowsAround } from "./edges.ts";

interface PictureProps {
  frame: Frame;
  span: Span;
  timeline: Timeline;
}

const heightPx = 168;
/** Planned emails stand above this line, those that were tried hang below it. */
const basePx = 116;
const aboveMaxPx = 96;
const belowMaxPx = 34;

/**
 * What goes out when, as a picture of the server's. Places are shares of the width and the text has
 * its own size, so that it is read on a phone as well as on a wide screen.
 */
export function TimelinePicture({ frame, span, timeline }: PictureProps) {
  const { past, planned, window } = span;
  const slots = Math.max(past.length - 1, 0) + planned.length - 1;
  const slotShare = 100 / slots;
  const plannedAt = Math.max(past.length - 1, 0) * slotShare;
  const highest = Math.max(1, ...timeline.planned);
  const lowest = Math.max(1, ...past.slice(1).map((_, slot) => sumAt(timeline, slot)));
  return (
    <section class="card timeline" aria-labelledby="timeline" data-live>
      <header>
        <h2 id="timeline">What goes out when</h2>
        <Zoom frame={frame} span={span} />
      </header>
      <svg
        width="100%"
        height={heightPx}
        data-planned-at={plannedAt}
        data-edges={JSON.stringify(planned.map((edge) => edge.getTime()))}
      >
        <title>Emails by time</title>
        <line class="base" x1="0" x2="100%" y1={basePx} y2={basePx} />
        {past.slice(1).map((to, slot) => (
          <PastBar
            x={slot * slotShare}
            width={slotShare}
            highest={lowest}
            timeline={timeline}
            slot={slot}
            words={`${shownDuration(frame.now.getTime() - to.getTime())} ago`}
          />
        ))}
        {planned.slice(1).map((to, slot) => (
          <PlannedBar
            x={plannedAt + slot * slotShare}
            width={slotShare}
            count={timeline.planned[slot] ?? 0}
            highest={highest}
            from={planned[slot] ?? to}
            to={to}
            frame={frame}
          />
        ))}
        {window === null && (
          <line class="now" x1={`${plannedAt}%`} x2={`${plannedAt}%`} y1="6" y2={heightPx - 18} />
        )}
        <Ticks frame={frame} span={span} plannedAt={plannedAt} slotShare={slotShare} />
      </svg>
    </section>
  );
}

function sumAt({ past }: Timeline, slot: number): number {
  return (past.sent[slot] ?? 0) + (past.deferred[slot] ?? 0) + (past.failed[slot] ?? 0);
}

/** Few beside many are seen all the same: a bar's height grows with the root of its number. */
function heightOf(count: number, highest: number, maxPx: number): number {
  return count === 0 ? 0 : Math.max(3, Math.round(Math.sqrt(count / highest) * maxPx));
}

interface PlannedBarProps {
  x: number;
  width: number;
  count: number;
  highest: number;
  from: Date;
  to: Date;
  frame: Frame;
}

function PlannedBar({ x, width, count, highest, from, to, frame }: PlannedBarProps) {
  if (count === 0) return null;
  const height = heightOf(count, highest, aboveMaxPx);
  const isMore = count >= plannedMax;
  const words = `${isMore ? "at least " : ""}${counted(count, "email")}, ${absoluteWords(from, frame)} to ${absoluteWords(to, frame)}`;
  const search = `status:pending after:${from.toISOString()} before:${to.toISOString()}`;
  return (
    <a href={listPath(search, true)} aria-label={words}>
      <title>{words}</title>
      <rect class="reach" x={`${x}%`} width={`${width}%`} y="0" height={basePx} />
      <rect
        class="planned"
        x={`${x + width * 0.1}%`}
        width={`${width * 0.8}%`}
        y={basePx - height}
        height={height}
        rx="1.5"
      />
    </a>
  );
}

interface PastBarProps {
  x: number;
  width: number;
  highest: number;
  timeline: Timeline;
  slot: number;
  words: string;
}

function PastBar({ x, width, highest, timeline, slot, words }: PastBarProps) {
  const { sent, deferred, failed } = timeline.past;
  const parts = [
    { kind: "sent", count: sent[slot] ?? 0 },
    { kind: "deferred", count: deferred[slot] ?? 0 },
    { kind: "failed", count: failed[slot] ?? 0 },
  ];
  let y = basePx + 2;
  const told = parts.filter(({ count }) => count > 0);
  return (
    <g>
      <title>{`${told.map(({ kind, count }) => `${count} ${kind}`).join(", ")}, ${words}`}</title>
      {told.map(({ kind, count }) => {
        const height = heightOf(count, highest, belowMaxPx / told.length);
        const top = y;
        y += height + 1;
        return (
          <rect
            class={kind}
            x={`${x + width * 0.1}%`}
            width={`${width * 0.8}%`}
            y={top}
            height={height}
            rx="1.5"
          />
        );
      })}
    </g>
  );
}

const wholeTicks: readonly { slot: number; label: string; isMinor?: true }[] = [
  { slot: 12, label: "1 h" },
  { slot: 35, label: "1 d" },
  { slot: 41, label: "1 wk", isMinor: true },
  { slot: 64, label: "1 mo" },
  { slot: 69, label: "6 mo", isMinor: true },
];

interface TicksProps {
  frame: Frame;
  span: Span;
  plannedAt: number;
  slotShare: number;
}

function Ticks({ frame, span: { planned, window }, plannedAt, slotShare }: TicksProps) {
  const ticks: { at: number; label: string; isMinor?: true }[] =
    window === null
      ? [
          { at: 0, label: "1 h ago" },
          { at: plannedAt, label: "now" },
          ...wholeTicks.map(({ slot, ...tick }) => ({ ...tick, at: plannedAt + slot * slotShare })),
        ]
      : [0, 20, 40].map((slot) => ({
          at: slot * slotShare,
          label: absoluteWords(planned[slot] ?? window.from, frame),
        }));
  return (
    <>
      {ticks.map(({ at, label, isMinor }) => (
        <g class={isMinor && "minor"}>
          <line class="tick" x1={`${at}%`} x2={`${at}%`} y1={heightPx - 18} y2={heightPx - 12} />
          <text x={`${at}%`} y={heightPx - 2}>
            {label}
          </text>
        </g>
      ))}
    </>
  );
}

function Zoom({ frame, span: { window } }: { frame: Frame; span: Span }) {
  const at = frame.now.getTime();
  const ahead = (ms: number) => windowPath(frame.now, new Date(at + ms));
  const hourMs = 3_600_000;
  if (window === null) {
    return (
      <nav class="zoom" aria-label="Zoom">
        <a href={ahead(hourMs)}>Next hour</a>
        <a href={ahead(24 * hourMs)}>Next day</a>
        <a href={ahead(7 * 24 * hourMs)}>Next week</a>
      </nav>
    );
  }
  const { earlier, later, closer, wider } = windowsAround(window, frame.now);
  return (
    <nav class="zoom" aria-label="Zoom">
      <a href={earlier} data-key="ArrowLeft" aria-label="Earlier">
        ←
      </a>
      <a href={later} data-key="ArrowRight" aria-label="Later">
        →
      </a>
      <a href={closer} data-key="+" aria-label="Zoom in">
        +
      </a>
      <a href={wider} data-key="-" aria-label="Zoom out">
        −
      </a>
      <a href="/">All</a>
    </nav>
  );
}
