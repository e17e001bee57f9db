import type { Pause } from "../../../store/pauses.ts";
import { type Frame, FramedPage } from "../frame.tsx";
import { When } from "../when.tsx";
import { shownDuration } from "../words.ts";
import { Charts, type ChartsProps } from "./charts.tsx";
import { type ProcessesProps, ProcessTable, Transports, transportsOf } from "./fleet-cards.tsx";

/** How one part stands, as `/health` tells it. */
export type Component = { status: string; [detail: string]: unknown };

export interface HealthPageProps {
  frame: Frame;
  status: string;
  components: Record<string, Component>;
  pauses: readonly Pause[];
  regions: readonly string[];
  /** Shown to admins alone; null: the visitor is none. */
  running: Running | null;
  fault?: string | undefined;
}

/** How the service runs, in all processes. */
export interface Running
  extends Pick<ChartsProps, "span" | "slots">,
    Pick<ProcessesProps, "processes"> {
  /** By how many ms this process's clock is ahead of another's; null: not known. */
  skewMs: Record<string, number | null>;
}

const headings: Record<string, string> = {
  ok: "Everything works",
  degraded: "Something needs you",
  down: "The service is down",
};

export function HealthPage(props: HealthPageProps) {
  const { frame, status, components, running, regions, fault } = props;
  return (
    <FramedPage frame={frame} title="Health" place="health" isLive>
      <div class="heading">
        <div>
          <h1>Health</h1>
          <p class="status-line" data-live>
            <span class={`health-${status}`}>{headings[status] ?? status}</span>
          </p>
        </div>
      </div>
      {fault !== undefined && (
        <p class="flash fault" role="alert">
          {fault}
        </p>
      )}
      {running !== null && <Charts frame={frame} {...running} />}
      <div class="health-columns">
        <div class="health-main">
          {running !== null && (
            <>
              <Transports frame={frame} transports={transportsOf(running.processes)} />
              <ProcessTable frame={frame} processes={running.processes} regions={regions} />
            </>
          )}
          <section class="card components" aria-label="Parts" data-live>
            {Object.entries(components).map(([name, component]) => (
              <Part
                name={name}
                component={component}
                more={name === "clock" && running !== null ? skewWords(running.skewMs) : []}
              />
            ))}
          </section>
        </div>
        <Pauses {...props} />
      </div>
    </FramedPage>
  );
}

/** This process's clock beside those that it goes by. */
function skewWords(skewMs: Running["skewMs"]): string[] {
  return Object.entries(skewMs).flatMap(([of, ms]) => {
    if (ms === null) return [];
    const by = shownDuration(ms);
    if (Math.abs(ms) < 1) return [`with the ${of}'s`];
    return [`${by} ${ms > 0 ? "ahead of" : "behind"} the ${of}'s`];
  });
}

interface PartProps {
  name: string;
  component: Component;
  more: readonly string[];
}

function Part({ name, component, more }: PartProps) {
  const { status, detail, ...others } = component;
  const facts = Object.entries(others).filter(([, value]) => value !== null);
  const words = facts.map(([fact, value]) => `${fact.replaceAll("_", " ")} ${wordsOf(value)}`);
  return (
    <div class="component">
      <h2>{name.replaceAll("_", " ")}</h2>
      <span class={`tag health-${status}`}>{status}</span>
      {typeof detail === "string" && <p>{detail}</p>}
      <p class="quiet">{[...words, ...more].join(" · ")}</p>
    </div>
  );
}

function wordsOf(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function Pauses({ frame, pauses, regions }: HealthPageProps) {
  const { isAdmin } = frame.principal;
  return (
    <section class="card pauses" aria-labelledby="pauses" data-live>
      <h2 id="pauses">Emergency stop</h2>
      {pauses.length === 0 && <p class="quiet">Nothing is paused.</p>}
      {pauses.map((pause) => (
        <form class="pause" method="post" action="/console/health/resume">
          <input type="hidden" name="kind" value={pause.kind} />
          <input type="hidden" name="name" value={pause.name} />
          <p>
            {pause.kind === "database" ? "All sending" : `Sending of ${pause.kind} `}
            {pause.kind !== "database" && <b>{pause.name}</b>} is paused by {pause.pausedBy} since{" "}
            <When at={pause.pausedAt} frame={frame} />: {pause.reason}
          </p>
          {isAdmin && pause.kind === "database" && <Restored pause={pause} frame={frame} />}
          {isAdmin && pause.kind !== "database" && <button type="submit">Resume</button>}
        </form>
      ))}
      {isAdmin && <PauseForm regions={regions} />}
    </section>
  );
}

/** A person decides: nobody else knows what was sent after the dump. */
function Restored({ pause: { restored }, frame }: { pause: Pause; frame: Frame }) {
  return (
    <>
      {restored !== undefined && (
        <p>
          <b>{restored.count}</b> emails were due after{" "}
          <When at={restored.knowsUntil} frame={frame} />, up to which it knows what was sent. They
          may have been sent already.
        </p>
      )}
      <button type="submit" name="decision" value="hold">
        Hold them and resume
      </button>
      <button class="danger" type="submit" name="decision" value="send">
        Send them
      </button>
    </>
  );
}

function PauseForm({ regions }: { regions: readonly string[] }) {
  return (
    <details class="try">
      <summary>Pause sending…</summary>
      <form class="fields" method="post" action="/console/health/pause">
        <p>Emails are accepted and wait; nothing goes out until somebody resumes it.</p>
        <label>
          What
          <select name="kind">
            <option value="region">a region</option>
            <option value="owner">an owner</option>
          </select>
        </label>
        <label>
          Its name
          <input name="name" value={regions[0] ?? ""} required />
        </label>
        <label>
          Why
          <input name="reason" maxlength={500} required />
        </label>
        <button class="danger" type="submit">
          Pause
        </button>
      </form>
    </details>
  );
}
