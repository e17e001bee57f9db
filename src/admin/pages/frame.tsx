import type { Child } from "hono/jsx";
import type { Principal } from "../../auth/principal.ts";
import type { Flash, Undo } from "./flash.ts";
import { Icon, type IconName } from "./icons.tsx";

export type Theme = "light" | "dark";

/** That mail does not go out as it should, and why. */
export interface Alert {
  kind: "trouble" | "pause";
  /** Nothing of this visitor's goes out; false: some does, or late. */
  isStopped: boolean;
  /** Why, and what to do; for a person, without a full stop. */
  words: string;
}

/** What every page of one visit knows of its visitor. */
export interface Frame {
  principal: Principal;
  theme: Theme | null;
  /** IANA name of the visitor's time zone. */
  zone: string;
  now: Date;
  alerts: readonly Alert[];
  /** Up to `deadLettersMax`. */
  deadLetters: number;
  /** What the last action came to. */
  flash: Flash | null;
}

export const deadLettersMax = 999;

export type Place =
  | "home"
  | "emails"
  | "dead-letters"
  | "compose"
  | "webhooks"
  | "keys"
  | "audit"
  | "health"
  | "settings"
  | "queues";

interface NavItem {
  place: Place;
  href: string;
  label: string;
  icon: IconName;
  isAdmin?: true;
}

const navItems: readonly NavItem[] = [
  { place: "home", href: "/", label: "Home", icon: "home" },
  { place: "emails", href: "/console/emails", label: "Emails", icon: "emails" },
  { place: "dead-letters", href: "/console/dead-letters", label: "Dead letters", icon: "dead" },
  { place: "compose", href: "/console/compose", label: "Compose", icon: "compose" },
  { place: "webhooks", href: "/console/webhooks", label: "Webhooks", icon: "webhooks" },
  { place: "keys", href: "/console/keys", label: "Keys", icon: "keys" },
  { place: "audit", href: "/console/audit", label: "Audit", icon: "audit" },
  { place: "health", href: "/console/health", label: "Health", icon: "health" },
  {
    place: "settings",
    href: "/console/settings",
    label: "Settings",
    icon: "settings",
    isAdmin: true,
  },
  { place: "queues", href: "/admin/queues", label: "Queues", icon: "queues", isAdmin: true },
];

export interface FramedPageProps {
  frame: Frame;
  title: string;
  place?: Place;
  /** What it says of mail that does not go out is kept fresh, with the other parts of the page. */
  isLive?: boolean;
  children?: Child;
}

/** The frame of every page of somebody who is signed in. */
export function FramedPage({ frame, title, place, isLive, children }: FramedPageProps) {
  return (
    <Document title={title} theme={frame.theme}>
      <a class="skip" href="#content">
        Skip to content
      </a>
      <div class="frame">
        <Rail frame={frame} {...(place === undefined ? {} : { place })} />
        <div class="body">
          <Alerts frame={frame} isLive={isLive ?? false} />
          <main id="content">
            <FlashLine flash={frame.flash} />
            {children}
          </main>
        </div>
      </div>
      <p class="offline" role="status">
        Reconnecting…
      </p>
    </Document>
  );
}

export interface DocumentProps {
  title: string;
  theme?: Theme | null;
  /** Ask for the same page again from within: see `door.tsx`. */
  isReloading?: boolean;
  children?: Child;
}

export function Document({ title, theme = null, isReloading = false, children }: DocumentProps) {
  return (
    <html lang="en" data-theme={theme ?? undefined}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content={theme ?? "light dark"} />
        <meta name="robots" content="noindex" />
        {isReloading && <meta http-equiv="refresh" content="0" />}
        <title>{`${title} · Taskforce Mailer`}</title>
        <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/assets/style.css" />
        <link rel="stylesheet" href="/assets/console.css" />
        <script src="/assets/console.js" type="module" />
        <script src="/assets/live.js" type="module" />
      </head>
      <body>{children}</body>
    </html>
  );
}

function Rail({ frame, place }: { frame: Frame; place?: Place }) {
  const items = navItems.filter(({ isAdmin }) => !isAdmin || frame.principal.isAdmin);
  return (
    <header class="rail">
      <a class="brand" href="/">
        <img src="/favicon.svg" alt="" width="28" height="28" />
        <span>Taskforce Mailer</span>
      </a>
      <nav aria-label="Pages">
        {items.map((item) => (
          <a href={item.href} aria-current={item.place === place ? "page" : undefined}>
            <Icon name={item.icon} />
            <span class="label">{item.label}</span>
            {item.place === "dead-letters" && <DeadCount count={frame.deadLetters} />}
          </a>
        ))}
      </nav>
      <SignedIn frame={frame} />
    </header>
  );
}

function DeadCount({ count }: { count: number }) {
  if (count === 0) return null;
  return <span class="count">{count > deadLettersMax ? `${deadLettersMax}+` : count}</span>;
}

function SignedIn({ frame: { principal, theme } }: { frame: Frame }) {
  return (
    <details class="menu account">
      <summary>
        <span class="avatar" aria-hidden="true">
          {[...principal.ownerId][0]?.toUpperCase()}
        </span>
        <span class="who">
          <span class="name">{principal.ownerId}</span>
          <span class="role">{principal.isAdmin ? "admin" : "sees own emails"}</span>
        </span>
      </summary>
      <div class="sheet">
        <form class="themes" method="post" action="/console/theme">
          <span>Theme</span>
          {(["system", "light", "dark"] as const).map((name) => (
            <button
              type="submit"
              name="theme"
              value={name}
              aria-pressed={name === (theme ?? "system") ? "true" : "false"}
            >
              {name}
            </button>
          ))}
        </form>
        <p class="quiet keys-hint">
          Press <kbd>?</kbd> for the keys
        </p>
        {principal.credential === "session" && (
          <form class="sign-out" method="post" action="/sign-out">
            <button type="submit">Sign out</button>
            <button type="submit" name="everywhere" value="true">
              Sign out on every device
            </button>
          </form>
        )}
      </div>
    </details>
  );
}

function Alerts({ frame: { alerts }, isLive }: { frame: Frame; isLive: boolean }) {
  return (
    <div class="alerts" data-live={isLive ? "" : undefined}>
      {alerts.map((alert) => (
        <p class={`alert ${alert.kind}`} role="alert">
          <strong>{alertHeading(alert)}:</strong> {alert.words}.{" "}
          <a href="/console/health">Look at Health</a>
        </p>
      ))}
    </div>
  );
}

function alertHeading({ kind, isStopped }: Alert): string {
  if (kind === "pause") return "Paused";
  return isStopped ? "No mail is leaving" : "Mail is late";
}

function FlashLine({ flash }: { flash: Flash | null }) {
  if (flash === null) return null;
  return (
    <div class={`flash ${flash.kind}`} role={flash.kind === "fault" ? "alert" : "status"}>
      <p>{flash.words}</p>
      {flash.undo !== undefined && <UndoForm undo={flash.undo} />}
    </div>
  );
}

function UndoForm({ undo }: { undo: Undo }) {
  return (
    <form method="post" action="/console/emails/undo">
      {Object.entries(undo).map(([name, value]) => (
        <input type="hidden" name={name} value={String(value)} />
      ))}
      <button type="submit">Undo</button>
    </form>
  );
}
