import { Document } from "../pages/frame.tsx";

export interface SignInPageProps {
  /** How this program is called from a shell. */
  program: string;
  /** Whether the users of a Supabase project may come in. */
  hasPasswords: boolean;
  /** What went wrong with the last try, in one sentence. */
  fault?: string;
  isReloading?: boolean;
  /** The page that was asked for, to come back to; a path of ours. Default: the first one. */
  next?: string;
  /** The account whose second factor is asked for, too. */
  asksCodeOf?: string;
}

export function SignInPage(props: SignInPageProps) {
  const { program, hasPasswords, fault, isReloading = false, next = "/", asksCodeOf } = props;
  return (
    <Document title="Sign in" isReloading={isReloading}>
      <main class="alone">
        <p class="brand">
          <img src="/favicon.svg" alt="" width="32" height="32" />
          <span>Taskforce Mailer</span>
        </p>
        <section class="card notice">
          <h1>Sign in</h1>
          {fault !== undefined && (
            <p class="fault" role="alert">
              {fault}
            </p>
          )}
          {hasPasswords && (
            <PasswordForm next={next} {...(asksCodeOf === undefined ? {} : { asksCodeOf })} />
          )}
          <p>
            {hasPasswords ? "Or open" : "Open"} the one-time link the server printed when it
            started, or paste a token. Create one with:
          </p>
          <CommandLine id="token-command" command={`${program} token --sub you --role admin`} />
          <form class="sign-in" method="post" action="/sign-in">
            <Next path={next} />
            <label for="token">Token</label>
            <input
              id="token"
              name="token"
              type="password"
              placeholder="eyJ…"
              autocomplete="off"
              required
            />
            <button class={hasPasswords ? undefined : "primary"} type="submit">
              Sign in
            </button>
          </form>
        </section>
      </main>
    </Document>
  );
}

function Next({ path }: { path: string }) {
  return path === "/" ? null : <input type="hidden" name="next" value={path} />;
}

function PasswordForm({ next, asksCodeOf }: { next: string; asksCodeOf?: string }) {
  return (
    <form class="sign-in" method="post" action="/sign-in">
      <Next path={next} />
      <label for="email">E-mail</label>
      <input
        id="email"
        name="email"
        type="email"
        autocomplete="username"
        value={asksCodeOf}
        required
      />
      <label for="password">Password</label>
      <input
        id="password"
        name="password"
        type="password"
        autocomplete="current-password"
        required
      />
      {asksCodeOf !== undefined && <CodeField />}
      <button class="primary" type="submit">
        Sign in
      </button>
    </form>
  );
}

function CodeField() {
  return (
    <>
      <label for="code">Code of your second factor</label>
      <input
        id="code"
        name="code"
        inputmode="numeric"
        autocomplete="one-time-code"
        maxlength={10}
        required
      />
    </>
  );
}

/** A line to copy into a shell. `id` is its element's. */
export function CommandLine({ id, command }: { id: string; command: string }) {
  return (
    <div class="command">
      {/* Reached by the keyboard, to be scrolled. */}
      <pre tabindex={0}>
        <code id={id}>{command}</code>
      </pre>
      <button type="button" class="copy" data-copy={id}>
        Copy
      </button>
    </div>
  );
}
