import type { Timeline } from "../../../store/timeline.ts";
import { CommandLine } from "../../session/sign-in-page.tsx";
import { type DeadGroup, GroupLine } from "../dead-letters/group.tsx";
import { listPath } from "../emails/list-page.tsx";
import { EmailRow, type ListedEmail } from "../emails/row.tsx";
import { type Frame, FramedPage } from "../frame.tsx";
import { shownDuration } from "../words.ts";
import type { Span } from "./edges.ts";
import { TimelinePicture } from "./timeline-picture.tsx";

export interface HomePageProps {
  frame: Frame;
  span: Span;
  timeline: Timeline;
  /** The next ten. */
  next: readonly ListedEmail[];
  groups: readonly DeadGroup[];
  /** null: there are emails. */
  firstSteps: readonly FirstStep[] | null;
}

/** One way to send a first email. */
export interface FirstStep {
  id: string;
  title: string;
  command: string;
}

export function HomePage(props: HomePageProps) {
  const { frame, firstSteps } = props;
  return (
    <FramedPage frame={frame} title="Home" place="home" isLive>
      <div class="heading">
        <h1>Home</h1>
      </div>
      {firstSteps === null ? <Overview {...props} /> : <FirstSteps steps={firstSteps} />}
    </FramedPage>
  );
}

function Overview({ frame, span, timeline, next, groups }: HomePageProps) {
  return (
    <>
      <TimelinePicture frame={frame} span={span} timeline={timeline} />
      <div class="home-columns">
        <section class="card" aria-labelledby="next" data-live>
          <header>
            <h2 id="next">Next</h2>
            <a href={listPath("status:pending", true)}>All scheduled</a>
          </header>
          {next.length === 0 ? (
            <p class="nothing">Nothing is scheduled.</p>
          ) : (
            <table class="emails brief">
              <tbody>
                {next.map((listed) => (
                  <EmailRow listed={listed} frame={frame} isPickable={false} />
                ))}
              </tbody>
            </table>
          )}
        </section>
        <div class="home-side">
          <section class="card" aria-labelledby="needs-you" data-live>
            <header>
              <h2 id="needs-you">Needs you</h2>
              {groups.length > 0 && <a href="/console/dead-letters">Dead letters</a>}
            </header>
            {groups.length === 0 ? (
              <p class="nothing">Nothing needs you.</p>
            ) : (
              <ul class="groups">
                {groups.map((group) => (
                  <GroupLine group={group} />
                ))}
              </ul>
            )}
          </section>
          <Lately frame={frame} timeline={timeline} />
        </div>
      </div>
    </>
  );
}

function Lately({ frame, timeline }: { frame: Frame; timeline: Timeline }) {
  const { sent, deferred, failed, lateP50Ms, lateP99Ms, pastSince } = timeline;
  const since = shownDuration(frame.now.getTime() - pastSince.getTime());
  return (
    <section class="card lately" aria-labelledby="lately" data-live>
      <header>
        <h2 id="lately">Lately</h2>
        <span class="quiet">the last {since}</span>
      </header>
      <dl>
        <Figure name="Sent" href={listPath("status:sent")} value={sent.toLocaleString("en-GB")} />
        <Figure
          name="Deferred"
          href={listPath("status:deferred")}
          value={deferred.toLocaleString("en-GB")}
        />
        <Figure
          name="Failed"
          href={listPath("status:failed")}
          value={failed.toLocaleString("en-GB")}
        />
        <Figure name="Half go out within" value={latenessOf(lateP50Ms)} />
        <Figure name="99 of 100 within" value={latenessOf(lateP99Ms)} />
      </dl>
    </section>
  );
}

function latenessOf(ms: number | null): string {
  return ms === null ? "–" : shownDuration(Math.max(ms, 0));
}

function Figure({ name, value, href }: { name: string; value: string; href?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{href === undefined ? value : <a href={href}>{value}</a>}</dd>
    </div>
  );
}

/** Changes into the overview by itself as soon as the first email is there. */
function FirstSteps({ steps }: { steps: readonly FirstStep[] }) {
  return (
    <section class="card first-steps" data-live>
      <h2>Send the first email</h2>
      <p class="quiet">
        Each of these schedules one, ten minutes ahead. This page shows it as soon as it is
        accepted.
      </p>
      {steps.map(({ id, title, command }) => (
        <div>
          <h3>{title}</h3>
          <CommandLine id={id} command={command} />
        </div>
      ))}
    </section>
  );
}
