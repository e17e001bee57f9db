import type { Child } from "hono/jsx";
import type { MinuteFigures } from "../../../store/minutes.ts";
import type { Frame } from "../frame.tsx";
import { absoluteWords, shownDuration } from "../words.ts";
import { type ChartSpan, latenessAt, totalOf } from "./chart-figures.ts";

export interface ChartsProps {
  frame: Frame;
  span: ChartSpan;
  slots: readonly MinuteFigures[];
}

const heightPx = 96;
const basePx = heightPx - 1;
const highestPx = heightPx - 10;

/** What all processes did in the last hour or day: pictures of the server's, with their numbers. */
export function Charts({ frame, span, slots }: ChartsProps) {
  const total = totalOf(slots);
  const charted = { frame, span, slots };
  return (
    <section class="charts-part" aria-labelledby="charts" data-live>
      <header>
        <h2 id="charts">What went out</h2>
        <nav class="views" aria-label="Length of time">
          {(["hour", "day"] as const).map((name) => (
            <a
              href={`/console/health?span=${name}`}
              aria-current={name === span.name ? "true" : undefined}
            >
              Last {name}
            </a>
          ))}
        </nav>
      </header>
      <div class="charts">
        <Throughput {...charted} total={total} />
        <Outcomes {...charted} total={total} />
        <Lateness {...charted} total={total} />
      </div>
    </section>
  );
}

type ChartProps = ChartsProps & { total: MinuteFigures };

interface CardProps {
  title: string;
  span: ChartSpan;
  /** What stands at the top of the picture. */
  top: string;
  legend: readonly { kind: string; name: string; value: string }[];
  children?: Child;
}

/** Places are shares of the width, so that text keeps its size at every width. */
function Card({ title, span, top, legend, children }: CardProps) {
  const words = legend.map(({ name, value }) => `${name}: ${value}`).join(", ");
  return (
    <div class="card chart">
      <h3>{title}</h3>
      <svg
        width="100%"
        height={heightPx + 16}
        role="img"
        aria-label={`${title}, last ${span.name}. ${words}`}
      >
        <line class="base" x1="0" x2="100%" y1={basePx} y2={basePx} />
        {children}
        <text x="0" y="10">
          {top}
        </text>
        <text x="0" y={heightPx + 14}>
          {span.name === "hour" ? "1 h ago" : "1 d ago"}
        </text>
        <text class="end" x="100%" y={heightPx + 14}>
          now
        </text>
      </svg>
      <dl>
        {legend.map(({ kind, name, value }) => (
          <div>
            <dt class={`key ${kind}`}>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

const whole = (count: number) => count.toLocaleString("en-GB");

/** `11:20–11:21` in the viewer's zone, for the pointer. */
function slotWords(slot: number, { span, frame }: ChartsProps): string {
  const at = new Date(span.from.getTime() + slot * span.stepSeconds * 1_000);
  return absoluteWords(at, frame);
}

interface BarProps {
  slot: number;
  slots: number;
  kind: string;
  top: number;
  height: number;
}

function Bar({ slot, slots, kind, top, height }: BarProps) {
  const share = 100 / slots;
  const x = slot * share + share * 0.1;
  return <rect class={kind} x={`${x}%`} width={`${share * 0.8}%`} y={top} height={height} />;
}

/** Few beside many are seen all the same. */
function heightOf(count: number, highest: number): number {
  return count === 0 ? 0 : Math.max(2, (count / highest) * highestPx);
}

function Throughput(props: ChartProps) {
  const { span, slots, total } = props;
  const highest = Math.max(1, ...slots.flatMap(({ accepted, sent }) => [accepted, sent]));
  return (
    <Card
      title="Throughput"
      span={span}
      top={highest === 1 ? "" : `${whole(highest)} in ${span.name === "hour" ? "1" : "15"} min`}
      legend={[
        { kind: "accepted", name: "Accepted", value: whole(total.accepted) },
        { kind: "sent", name: "Sent", value: whole(total.sent) },
      ]}
    >
      {slots.map(({ accepted, sent }, slot) => {
        if (accepted + sent === 0) return null;
        const sentPx = heightOf(sent, highest);
        const place = { slot, slots: span.slots };
        return (
          <g>
            <title>{`${whole(accepted)} accepted, ${whole(sent)} sent, ${slotWords(slot, props)}`}</title>
            <Bar {...place} kind="sent" top={basePx - sentPx} height={sentPx} />
            {accepted > 0 && (
              <Bar
                {...place}
                kind="accepted"
                top={basePx - heightOf(accepted, highest)}
                height={2}
              />
            )}
          </g>
        );
      })}
    </Card>
  );
}

const outcomes = [
  { kind: "sent", name: "Sent", of: ({ sent }: MinuteFigures) => sent },
  { kind: "partial", name: "Sent to some", of: ({ partial }: MinuteFigures) => partial },
  { kind: "deferred", name: "Deferred", of: ({ deferred }: MinuteFigures) => deferred },
  { kind: "failed", name: "Refused", of: ({ bounced }: MinuteFigures) => bounced },
  { kind: "uncertain", name: "Uncertain", of: ({ uncertain }: MinuteFigures) => uncertain },
] as const;

function Outcomes(props: ChartProps) {
  const { span, slots, total } = props;
  const attemptsOf = (slot: MinuteFigures) => outcomes.reduce((sum, one) => sum + one.of(slot), 0);
  const highest = Math.max(1, ...slots.map(attemptsOf));
  return (
    <Card
      title="Attempts by outcome"
      span={span}
      top={highest === 1 ? "" : `${whole(highest)} in ${span.name === "hour" ? "1" : "15"} min`}
      legend={outcomes.map(({ kind, name, of }) => ({ kind, name, value: whole(of(total)) }))}
    >
      {slots.map((figures, slot) => {
        const told = outcomes.filter(({ of }) => of(figures) > 0);
        if (told.length === 0) return null;
        const words = told.map(({ name, of }) => `${whole(of(figures))} ${name.toLowerCase()}`);
        let top = basePx;
        return (
          <g>
            <title>{`${words.join(", ")}, ${slotWords(slot, props)}`}</title>
            {told.map(({ kind, of }) => {
              const height = heightOf(of(figures), highest);
              top -= height;
              return <Bar slot={slot} slots={span.slots} kind={kind} top={top} height={height} />;
            })}
          </g>
        );
      })}
    </Card>
  );
}

/** The scale goes by tenfolds, from 10 ms to 10 h. */
const latenessPx = (ms: number) =>
  Math.max(2, Math.min(1, Math.log10(Math.max(ms, 10) / 10) / 6.556) * highestPx);
const latenessLines = [
  { ms: 1_000, label: "1 s" },
  { ms: 60_000, label: "1 min" },
  { ms: 3_600_000, label: "1 h" },
];

function Lateness(props: ChartProps) {
  const { span, slots, total } = props;
  const shown = (share: number, lateness: readonly number[]) => {
    const ms = latenessAt(share, lateness);
    return ms === null ? "–" : shownDuration(ms);
  };
  return (
    <Card
      title="Lateness of first attempts"
      span={span}
      top=""
      legend={[
        { kind: "p50", name: "Half within", value: shown(0.5, total.lateness) },
        { kind: "p99", name: "99 of 100 within", value: shown(0.99, total.lateness) },
      ]}
    >
      {latenessLines.map(({ ms, label }) => (
        <g>
          <line
            class="grid"
            x1="0"
            x2="100%"
            y1={basePx - latenessPx(ms)}
            y2={basePx - latenessPx(ms)}
          />
          <text x="0" y={basePx - latenessPx(ms) - 3}>
            {label}
          </text>
        </g>
      ))}
      {slots.map(({ lateness }, slot) => {
        const [p50, p99] = [latenessAt(0.5, lateness), latenessAt(0.99, lateness)];
        if (p50 === null || p99 === null) return null;
        const place = { slot, slots: span.slots };
        const words = `half within ${shownDuration(p50)}, 99 of 100 within ${shownDuration(p99)}`;
        return (
          <g>
            <title>{`${words}, ${slotWords(slot, props)}`}</title>
            <Bar {...place} kind="p50" top={basePx - latenessPx(p50)} height={latenessPx(p50)} />
            <Bar {...place} kind="p99" top={basePx - latenessPx(p99)} height={2} />
          </g>
        );
      })}
    </Card>
  );
}
