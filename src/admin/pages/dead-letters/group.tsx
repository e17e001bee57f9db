import { decryptEmail } from "../../../content/decrypt-email.ts";
import { storedFailure } from "../../../content/failure-index.ts";
import type { KeyRing } from "../../../crypto/key-ring.ts";
import { replyPattern } from "../../../email/reply-pattern.ts";
import type { DeadLetterGroup } from "../../../store/dead-letters.ts";
import { StateMark } from "../icons.tsx";
import { counted, type ShownState } from "../words.ts";

/** Dead letters that failed alike, in words. */
export interface DeadGroup extends Pick<DeadLetterGroup, "count" | "firstAt" | "lastAt"> {
  /** Its name, as the API's filter takes it. */
  name: string;
  state: ShownState;
  /** What the server said, without what differs from one to the next. */
  reply: string;
  /** As it was said of the newest of them; null: it cannot be told. */
  sample: { code: number | null; enhanced: string | null; text: string } | null;
  domain: string | null;
  sampleId: string;
}

const states: readonly ShownState[] = ["failed", "uncertain", "held", "partially_sent"];

export function toDeadGroup(group: DeadLetterGroup, keyRing: KeyRing): DeadGroup {
  const { count, firstAt, lastAt, byStatus } = group;
  const decrypted = decryptEmail(group.sample, keyRing);
  const isReadable = decrypted.fault === undefined && group.group !== "held";
  const failure = isReadable ? storedFailure(keyRing, decrypted, group.group) : null;
  const text = failure?.reply ?? "";
  const code = failure?.smtpCode ?? null;
  const enhanced = failure?.enhancedCode ?? null;
  const said = [code, enhanced, text === "" ? null : replyPattern(text)];
  const words = said.filter((part) => part !== null).join(" ");
  return {
    ...{ count, firstAt, lastAt },
    name: group.group,
    state: states.find((state) => (byStatus[state as keyof typeof byStatus] ?? 0) > 0) ?? "failed",
    reply: words === "" ? wordsWithoutReply(group.group) : words,
    sample: failure === null ? null : { code, enhanced, text },
    domain: failure?.domain ?? null,
    sampleId: group.sample.id,
  };
}

function wordsWithoutReply(name: string): string {
  return name === "held" ? "held by a person or by its rule" : "no reply is known";
}

export function groupPath({ name }: DeadGroup): string {
  return `/console/dead-letters#${name}`;
}

/** One group in one line. */
export function GroupLine({ group }: { group: DeadGroup }) {
  return (
    <li>
      <StateMark state={group.state} />
      <a href={groupPath(group)}>
        <b>{counted(group.count, "email")}</b>
        {group.domain !== null && ` · ${group.domain}`}
        <span class="reply short">{group.reply}</span>
      </a>
    </li>
  );
}
