import { type Finding, ok, type Patient, warning } from "./finding.ts";

/** Says while former secrets still verify tokens: nobody should forget to take them out. */
export function checkTokenSecrets({ jwtSecrets }: Patient): Finding[] {
  const { current, former } = jwtSecrets;
  if (former.length === 0) return [];
  if (current !== null && former.includes(current)) {
    const advice =
      "Take it out, and see that the secret that was in force before it is listed: what that one " +
      "signed is refused otherwise.";
    return [warning("token secrets", "JWT_SECRETS_OLD lists the current secret", advice)];
  }
  const count = former.length === 1 ? "1 former secret" : `${former.length} former secrets`;
  const verbs = former.length === 1 ? "still verifies" : "still verify";
  const saw =
    `${count} ${verbs} tokens: once those have expired, empty JWT_SECRETS_OLD, or run ` +
    "`taskforce-mailer tokens rotate --forget` where the secret is a generated one";
  return [ok("token secrets", saw)];
}
