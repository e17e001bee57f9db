import { describe, expect, test } from "bun:test";
import type { JWTPayload } from "jose";
import { loadConfig } from "../config.ts";
import { isAppError } from "../errors.ts";
import { faultyNames } from "../testing/fixtures/config-faults.ts";
import { type ClaimRules, principalOf } from "./claim-rules.ts";
import { missingScope } from "./principal.ts";

const open: ClaimRules = { adminAal: "aal2", ownersAllowed: null };
const olga = { sub: "u-olga", role: "authenticated", app_metadata: { role: "admin" } };

const rulesOf = (env: Record<string, string>): ClaimRules => loadConfig(env).jwt;
const ofProject = (claims: JWTPayload, rules = open) =>
  principalOf({ claims, isOurs: false }, rules);
const ofSecret = (claims: JWTPayload, rules = open) => principalOf({ claims, isOurs: true }, rules);

function reasonOf(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    if (isAppError(error)) return `${error.code} ${error.reason}`;
    throw error;
  }
  return "accepted";
}

describe("a second factor", () => {
  test("is what makes an admin of a token that tells how its user signed in", () => {
    const one = ofProject({ ...olga, aal: "aal1" });
    expect(one).toMatchObject({ ownerId: "u-olga", isAdmin: false, lacksSecondFactor: true });
    expect(missingScope(one, "admin")).toBe("admin");
    expect(missingScope(one, "send")).toBeNull();
    expect(ofSecret({ sub: "ops", role: "admin", aal: "aal1" }).isAdmin).toBe(false);
    for (const aal of ["AAL2", "aal3", "", null, ["aal2"], 2]) {
      expect(ofProject({ ...olga, aal }).isAdmin).toBe(false);
    }
    const two = ofProject({ ...olga, aal: "aal2" });
    const seen = { ownerId: "u-olga", isAdmin: true, credential: "jwt", isOfIssuer: true };
    expect(two).toEqual(seen as never);
  });

  test("is not asked of a token without an aal, nor with ADMIN_AAL=any", () => {
    expect(ofProject(olga).isAdmin).toBe(true);
    const any = rulesOf({ ADMIN_AAL: "any" });
    expect(ofProject({ ...olga, aal: "aal1" }, any)).toMatchObject({ isAdmin: true });
    expect(rulesOf({}).adminAal).toBe("aal2");
    expect(faultyNames({ ADMIN_AAL: "aal3" })).toEqual(["ADMIN_AAL"]);
  });

  test("says nothing of a user who is no admin", () => {
    expect(ofProject({ sub: "u", aal: "aal1" })).not.toHaveProperty("lacksSecondFactor");
  });
});

test("an anonymous user is nobody, whoever signed the token", () => {
  const claims = { sub: "u", role: "authenticated", is_anonymous: true };
  expect(reasonOf(() => ofProject(claims))).toBe("unauthorized anonymous");
  expect(reasonOf(() => ofSecret({ ...claims, role: "admin" }))).toBe("unauthorized anonymous");
  expect(reasonOf(() => ofProject({ ...claims, is_anonymous: false }))).toBe("accepted");
});

describe("the name of a part of the program", () => {
  const sub = "taskforce-mailer:console";
  test("is nobody's but the command line's, which has the secret", () => {
    expect(reasonOf(() => ofSecret({ sub }))).toBe("unauthorized reserved_sub");
    expect(reasonOf(() => ofProject({ ...olga, sub }))).toBe("unauthorized reserved_sub");
    expect(ofSecret({ sub, role: "admin" }).isAdmin).toBe(true);
  });

  test("is not any other word: console, stranger and worker:local are owners as others are", () => {
    for (const name of ["console", "stranger", "worker:local", "cli", "taskforce-mailer"]) {
      expect(ofProject({ sub: name }).ownerId).toBe(name);
    }
  });
});

describe("OWNERS_ALLOWED", () => {
  const listed = "example.com, role:staff, app_metadata.team=mail, plan=paid";
  const rules = rulesOf({ OWNERS_ALLOWED: listed });
  const refused = "forbidden owner_not_allowed";

  test.each([
    [{ email: "ann@Example.com" }],
    [{ email: "x", app_metadata: { role: "staff" } }],
    [{ app_metadata: { roles: ["guest", "staff"] } }],
    [{ app_metadata: { team: "mail" } }],
    [{ app_metadata: { team: ["sales", "mail"] } }],
    [{ plan: "paid" }],
    [olga],
  ])("lets %j in", (claims) => {
    expect(reasonOf(() => ofProject({ sub: "u", ...claims }, rules))).toBe("accepted");
  });

  test.each([
    [{}],
    [{ email: "ann@example.com.evil.test" }],
    [{ email: "example.com" }],
    [{ email: "example.com@evil.test" }],
    [{ email: ["ann@example.com"] }],
    [{ user_metadata: { role: "staff", team: "mail", plan: "paid" } }],
    [{ app_metadata: { team: { mail: true } } }],
    [{ app_metadata: "team=mail" }],
    [{ role: "authenticated" }],
  ])("leaves %j out", (claims) => {
    expect(reasonOf(() => ofProject({ sub: "u", ...claims }, rules))).toBe(refused);
  });

  test("asks a project's users also where the project signs with JWT_SECRET", () => {
    for (const claims of [
      { email: "a@evil.test" },
      { session_id: "1" },
      { role: "authenticated" },
    ]) {
      expect(reasonOf(() => ofSecret({ sub: "u", ...claims }, rules))).toBe(refused);
    }
    // As `taskforce-mailer token --sub u` makes it.
    expect(reasonOf(() => ofSecret({ sub: "u" }, rules))).toBe("accepted");
  });

  test("takes no claim that users write themselves, and no address", () => {
    for (const wrong of ["user_metadata.team=mail", "ann@example.com", "a b", "team.=x"]) {
      expect(faultyNames({ OWNERS_ALLOWED: wrong })).toEqual(["OWNERS_ALLOWED"]);
    }
    expect(rulesOf({}).ownersAllowed).toBeNull();
  });
});
