import { type Frame, FramedPage } from "../frame.tsx";

/** One variable as it counts in this process, without its secret. */
export interface ShownSetting {
  name: string;
  /** null: not set, or a secret. */
  value: string | null;
  isSet: boolean;
  isSecret: boolean;
  /** In Markdown; empty: none. */
  default: string;
  /** In Markdown. */
  meaning: string;
}

export function SettingsPage({
  frame,
  settings,
}: {
  frame: Frame;
  settings: readonly ShownSetting[];
}) {
  return (
    <FramedPage frame={frame} title="Settings" place="settings">
      <div class="heading">
        <div>
          <h1>Settings</h1>
          <p class="quiet">
            As this process has read them when it started. They are changed in its environment, then
            it is restarted. <a href="/docs/configuration">What each means</a>
          </p>
        </div>
      </div>
      <section class="card wide objects settings" aria-label="Settings" tabindex={0}>
        <table>
          <thead>
            <tr>
              <th>Variable</th>
              <th>Value</th>
              <th>From</th>
              <th>Meaning</th>
            </tr>
          </thead>
          <tbody>
            {settings.map((setting) => (
              <tr>
                <td>
                  <code>{setting.name}</code>
                </td>
                <td class="list">
                  <Value setting={setting} />
                </td>
                <td>{setting.isSet ? <strong>environment</strong> : "default"}</td>
                <td class="list quiet">
                  <Words text={setting.meaning} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </FramedPage>
  );
}

function Value({ setting }: { setting: ShownSetting }) {
  const { value, isSet, isSecret, default: fallback } = setting;
  if (isSecret) {
    return (
      <>
        {isSet ? "set" : "not set"}
        {!isSet && fallback !== "" && (
          <span class="quiet">
            {": "}
            <Words text={fallback} />
          </span>
        )}
      </>
    );
  }
  if (value !== null) return <code>{value}</code>;
  return <span class="quiet">{fallback === "" ? "not set" : <Words text={fallback} />}</span>;
}

/** Markdown of one line: what stands between backticks is code. */
function Words({ text }: { text: string }) {
  return (
    <>{text.split("`").map((part, index) => (index % 2 === 1 ? <code>{part}</code> : part))}</>
  );
}
