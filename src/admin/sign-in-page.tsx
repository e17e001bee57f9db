import { Notice, Page } from "./page.tsx";

export interface SignInPageProps {
  /** How this program is called from a shell. */
  program: string;
  /** What went wrong with the last try, in one sentence. */
  fault?: string;
  isReloading?: boolean;
}

export function SignInPage({ program, fault, isReloading = false }: SignInPageProps) {
  return (
    <Page title="Sign in" principal={null} isReloading={isReloading}>
      <Notice heading="Sign in">
        <p>
          Open the one-time link the server printed when it started, or paste a token. This makes
          one:
        </p>
        <pre>
          <code>{`${program} token --sub you --role admin`}</code>
        </pre>
        {fault !== undefined && (
          <p class="fault" role="alert">
            {fault}
          </p>
        )}
        <form class="sign-in" method="post" action="/sign-in">
          <label for="token">Token</label>
          <input id="token" name="token" type="password" autocomplete="off" required />
          <button class="primary" type="submit">
            Sign in
          </button>
        </form>
      </Notice>
    </Page>
  );
}
