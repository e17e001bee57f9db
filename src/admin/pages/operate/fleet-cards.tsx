import type { TransportState } from "../../../store/fleet.ts";
import type { ListedProcess } from "../../../store/processes.ts";
import type { Frame } from "../frame.tsx";
import { When } from "../when.tsx";
import { counted, shownDuration } from "../words.ts";

/** One way to send, as the processes that send by it know it together. */
export interface ShownTransport {
  name: string;
  /** Processes that send by it. */
  processes: number;
  /** Those through which nothing gets, longest down first. */
  down: TransportState[];
}

/** Of the processes that live. */
export function transportsOf(processes: readonly ListedProcess[]): ShownTransport[] {
  const living = processes.filter(({ isLiving }) => isLiving);
  const states = living.flatMap(({ state }) => state?.transports ?? []);
  const names = [...new Set(states.map(({ name }) => name))].toSorted();
  return names.map((name) => {
    const own = states.filter((state) => state.name === name);
    const down = own.filter(({ detail }) => detail !== null);
    return {
      ...{ name, processes: own.length },
      down: down.toSorted((a, b) => ((a.since ?? "") < (b.since ?? "") ? -1 : 1)),
    };
  });
}

export function Transports(props: { frame: Frame; transports: readonly ShownTransport[] }) {
  const { frame, transports } = props;
  return (
    <section class="card transports" aria-labelledby="transports" data-live>
      <h2 id="transports">Transports</h2>
      {transports.length === 0 && <p class="quiet">No process that sends has said anything yet.</p>}
      {transports.map((transport) => (
        <Transport frame={frame} transport={transport} />
      ))}
    </section>
  );
}

function Transport({ frame, transport }: { frame: Frame; transport: ShownTransport }) {
  const { name, processes, down } = transport;
  const [first] = down;
  const isStopped = down.length === processes;
  const of = `${down.length} of ${counted(processes, "process", "processes")}`;
  return (
    <div class="transport">
      <p>
        <code>{name}</code>{" "}
        <span class={`tag health-${first === undefined ? "ok" : isStopped ? "down" : "degraded"}`}>
          {first === undefined ? "mail gets through" : isStopped ? "down" : `down for ${of}`}
        </span>
      </p>
      {first === undefined ? (
        <p class="quiet">Used by {counted(processes, "process", "processes")}.</p>
      ) : (
        <>
          <p>{first.detail}</p>
          {first.reply != null && (
            <p>
              The server’s last words: <span class="reply">{first.reply}</span>
            </p>
          )}
          <p class="quiet">
            {first.since !== null && (
              <>
                Since <When at={new Date(first.since)} frame={frame} />
              </>
            )}
            {first.nextProbeAt != null && (
              <>
                ; next try <When at={new Date(first.nextProbeAt)} frame={frame} form="row" />
              </>
            )}
          </p>
          <form method="post" action="/console/health/probe">
            <input type="hidden" name="transport" value={name} />
            <button class="primary" type="submit">
              Try now
            </button>
          </form>
        </>
      )}
    </div>
  );
}

export interface ProcessesProps {
  frame: Frame;
  processes: readonly ListedProcess[];
  /** All that are known; one without a process sends nothing by itself. */
  regions: readonly string[];
}

export function ProcessTable({ frame, processes, regions }: ProcessesProps) {
  const silent = regions.filter(
    (region) => !processes.some((one) => one.region === region && one.isLiving),
  );
  return (
    <section class="card wide objects processes" aria-labelledby="processes" tabindex={0} data-live>
      <h2 id="processes">Processes</h2>
      <table>
        <thead>
          <tr>
            <th>Region</th>
            <th>Process</th>
            <th>Role</th>
            <th>Since</th>
            <th>Last heartbeat</th>
            <th>In hand</th>
          </tr>
        </thead>
        <tbody>
          {processes.map((process) => (
            <ProcessRow frame={frame} process={process} />
          ))}
        </tbody>
      </table>
      {silent.length > 0 && (
        <p class="fault silent">
          No process lives in {silent.join(", ")}: what is due there is sent by other regions a
          minute later, or waits.
        </p>
      )}
    </section>
  );
}

function ProcessRow({ frame, process }: { frame: Frame; process: ListedProcess }) {
  const { id, region, role, startedAt, beatAt, beatMs, isLiving } = process;
  return (
    <tr class={isLiving ? undefined : "over"}>
      <td>{region}</td>
      <td title={id}>
        <code>…{id.slice(-8)}</code>
      </td>
      <td>{role}</td>
      <td>
        <When at={startedAt} frame={frame} form="row" />
      </td>
      <td>
        {isLiving ? (
          `${shownDuration(beatMs)} ago`
        ) : (
          <span class="fault">
            died without goodbye <When at={beatAt} frame={frame} form="row" />
          </span>
        )}
      </td>
      <td>{inHand(process)}</td>
    </tr>
  );
}

function inHand({ role, claimed, begun, settling }: ListedProcess): string {
  if (role === "api") return "–";
  const words = [
    counted(claimed, "email"),
    ...(begun > 0 ? [`${begun} being sent`] : []),
    ...(settling > 0 ? [`${counted(settling, "outcome")} not written yet`] : []),
  ];
  return words.join(", ");
}
