import { expect, test } from "bun:test";
import { loadConfig } from "../config.ts";
import { checkTokenSecrets } from "./check-token-secrets.ts";

const current = "the secret in force";
const look = (former: string[]) => {
  const jwtSecrets = { current, former };
  return checkTokenSecrets({ config: loadConfig({}), database: null, key: null, jwtSecrets });
};

test("former secrets are told of while they are listed, and are no fault", () => {
  expect(look([])).toEqual([]);
  const [one] = look(["the one before"]);
  expect(one).toMatchObject({ check: "token secrets", status: "ok", advice: null });
  expect(one?.saw).toStartWith("1 former secret still verifies tokens");
  expect(look(["the one before", "and another"])[0]?.saw).toStartWith("2 former secrets still ver");
});

test("the current secret among the former ones is a warning, and neither is shown", () => {
  const [finding, ...rest] = look(["the one before", current]);
  expect(finding).toMatchObject({
    status: "warning",
    saw: "JWT_SECRETS_OLD lists the current secret",
  });
  expect(rest).toEqual([]);
  for (const former of [["the one before"], [current]]) {
    expect(JSON.stringify(look(former))).not.toMatch(/the secret in force|the one before/);
  }
});
