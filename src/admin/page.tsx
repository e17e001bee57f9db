import type { Child } from "hono/jsx";
import type { Principal } from "../auth/principal.ts";

/** That somebody has stopped sending. */
export interface PauseNotice {
  /** Nothing of this visitor's is sent from here; false: it concerns others. */
  isStopped: boolean;
  /** Tells a person who paused what, since when and why. */
  words: string;
}

export interface PageProps {
  title: string;
  /** null: nobody is signed in. */
  principal: Principal | null;
  /** The pauses that this visitor is told of; default: none. */
  pause?: PauseNotice | null;
  /** Ask for the same page again from within: see `console.tsx`. */
  isReloading?: boolean;
  children?: Child;
}

/** The frame of every page of the console. */
export function Page({ title, principal, pause = null, isReloading = false, children }: PageProps) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        {isReloading && <meta http-equiv="refresh" content="0" />}
        <title>{`${title} · Taskforce Mailer`}</title>
        <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/assets/style.css" />
        <link rel="stylesheet" href="/assets/mails.css" />
        <script src="/assets/console.js" defer />
      </head>
      <body>
        <header class="bar">
          <a class="brand" href="/">
            <img src="/favicon.svg" alt="" width="28" height="28" />
            <span>Taskforce Mailer</span>
          </a>
          {principal !== null && <SignedIn principal={principal} />}
        </header>
        {pause !== null && (
          <p class="trouble" role="alert">
            <strong>Paused:</strong> {pause.words}.
          </p>
        )}
        <main>{children}</main>
        <p class="offline" role="status">
          The server does not answer. Trying again…
        </p>
      </body>
    </html>
  );
}

function SignedIn({ principal }: { principal: Principal }) {
  return (
    <form class="signed-in" method="post" action="/sign-out">
      {principal.isAdmin && <a href="/admin/queues">Queues</a>}
      <span class="who">
        {principal.ownerId}
        {principal.isAdmin && <span class="badge">admin</span>}
      </span>
      {principal.credential === "session" && (
        <>
          <button type="submit">Sign out</button>
          <button type="submit" name="everywhere" value="true" title="Ends all sessions of yours">
            Everywhere
          </button>
        </>
      )}
    </form>
  );
}

/** One thing to say, in the middle of a page. */
export function Notice({ heading, children }: { heading: string; children?: Child }) {
  return (
    <section class="card notice">
      <h1>{heading}</h1>
      {children}
    </section>
  );
}

/** A line to copy into a shell. `id` is its element's. */
export function CommandLine({ id, command }: { id: string; command: string }) {
  return (
    <div class="command">
      <pre>
        <code id={id}>{command}</code>
      </pre>
      <button type="button" data-copy={id}>
        Copy
      </button>
    </div>
  );
}
