import { quoteInput } from "../../email/quote-input.ts";
import type { FieldFault } from "../../errors.ts";
import type { EmailFields } from "./email-schema.ts";

/** Fields API.md names whose behaviour is not built: anything but their default is refused. */
export function unsupportedFaults(fields: Partial<EmailFields>, pointer: string): FieldFault[] {
  const asked: [name: string, value: unknown, isAsked: boolean][] = [
    ["list_unsubscribe", fields.list_unsubscribe, fields.list_unsubscribe != null],
  ];
  return asked
    .filter(([, , isAsked]) => isAsked)
    .map(([name, value]) => ({
      pointer: `${pointer}/${name}`,
      detail: `expected this field to be left out, since it is not supported yet, got ${quoteInput(value)}`,
    }));
}
