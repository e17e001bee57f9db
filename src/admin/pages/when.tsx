import type { Frame } from "./frame.tsx";
import { absoluteWords, exactWords, relativeWords, weekMs } from "./words.ts";

export interface WhenProps {
  at: Date;
  frame: Pick<Frame, "zone" | "now">;
  /** `row`: relative within a week, else absolute; `full`: both; `day`: the date alone. */
  form?: "row" | "full" | "absolute" | "day";
}

/** An instant in the viewer's zone, with UTC for the pointer that rests on it. */
export function When({ at, frame, form = "full" }: WhenProps) {
  const isNear = Math.abs(at.getTime() - frame.now.getTime()) < weekMs;
  const absolute = absoluteWords(at, frame);
  const zone = frame.zone === "UTC" ? "" : `\n${absolute} ${frame.zone}`;
  return (
    <time datetime={at.toISOString()} title={`${exactWords(at)}${zone}`}>
      {isNear && form !== "absolute" && form !== "day" && (
        <span class="relative" data-relative>
          {relativeWords(at, frame.now)}
        </span>
      )}
      {form === "full" && isNear && " · "}
      {(form !== "row" || !isNear) && (
        <span class="absolute">{form === "day" ? absolute.split(",")[0] : absolute}</span>
      )}
    </time>
  );
}
