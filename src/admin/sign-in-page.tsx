import { Notice, Page } from "./page.tsx";

export interface SignInPageProps {
  /** How this program is called from a shell. */
  program: string;
  /** Whether the users of a Supabase project may come in. */
  hasPasswords: boolean;
  /** What went wrong with the last try, in one sentence. */
  fault?: string;
  isReloading?: boolean;
}

export function SignInPage({ program, hasPasswords, fault, isReloading = false }: SignInPageProps) {
  return (
    <Page title="Sign in" principal={null} isReloading={isReloading}>
      <Notice heading="Sign in">
        {fault !== undefined && (
          <p class="fault" role="alert">
            {fault}
          </p>
        )}
        {hasPasswords && <PasswordForm />}
        <p>
          {hasPasswords ? "Or open" : "Open"} the one-time link the server printed when it started,
          or paste a token. This makes one:
        </p>
        <pre>
          <code>{`${program} token --sub you --role admin`}</code>
        </pre>
        <form class="sign-in" method="post" action="/sign-in">
          <label for="token">Token</label>
          <input id="token" name="token" type="password" autocomplete="off" required />
          <button class={hasPasswords ? undefined : "primary"} type="submit">
            Sign in
          </button>
        </form>
      </Notice>
    </Page>
  );
}

function PasswordForm() {
  return (
    <form class="sign-in" method="post" action="/sign-in">
      <label for="email">E-mail</label>
      <input id="email" name="email" type="email" autocomplete="username" required />
      <label for="password">Password</label>
      <input
        id="password"
        name="password"
        type="password"
        autocomplete="current-password"
        required
      />
      <button class="primary" type="submit">
        Sign in
      </button>
    </form>
  );
}
