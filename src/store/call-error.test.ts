import { describe, expect, test } from "bun:test";
import { isContended, isUnanswered, toCallError, unavailableError } from "./call-error.ts";

function driverError(code: string, message = "words of the driver", detail?: string): Error {
  return Object.assign(new Error(message), { code, severity: "ERROR", detail });
}

describe("an error raised by our SQL", () => {
  test("becomes the code in its message with the words of its detail", () => {
    const error = toCallError(driverError("TM001", "not_found", "No such email."));
    expect(error.code).toBe("not_found");
    expect(error.publicDetail).toBe("No such email.");
  });

  test("with a code we do not know is an internal error", () => {
    expect(toCallError(driverError("TM001", "nonsense", "x")).code).toBe("internal_error");
  });
});

describe("a database that cannot answer now", () => {
  const states = ["57P01", "57P03", "53100", "53300", "25006", "57014", "55P03", "40P01", "08006"];
  for (const state of [...states, "ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN"]) {
    test(`${state} asks the caller to come back in 2 to 5 seconds`, () => {
      const error = toCallError(driverError(state));
      expect(error.code).toBe("database_unavailable");
      expect(error.retryAfterSeconds).toBeWithin(2, 6);
    });
  }

  test("a lost connection without a code counts too", () => {
    const error = toCallError(new Error("Connection terminated unexpectedly"));
    expect(error.code).toBe("database_unavailable");
  });
});

describe("what concerns one call and not the database", () => {
  for (const state of ["40001", "40P01", "55P03", "57014"]) {
    test(`${state} says that another transaction was in the way`, () => {
      expect(isContended(toCallError(driverError(state)))).toBe(true);
    });
  }

  test("neither a lost connection nor an overdue answer does", () => {
    for (const error of [
      driverError("57P01"),
      new Error("timeout exceeded when trying to connect"),
    ]) {
      expect(isContended(toCallError(error))).toBe(false);
    }
  });

  test("no connection in time is no answer", () => {
    const error = new Error("timeout exceeded when trying to connect");
    expect(isUnanswered(toCallError(error))).toBe(true);
  });
});

describe("anything else", () => {
  test("is an internal error that does not show the driver's words", () => {
    const error = toCallError(driverError("23505", 'duplicate key (x)=("secret@example.org")'));
    expect(error.code).toBe("internal_error");
    expect(error.publicDetail).not.toContain("secret");
    expect(error.cause).toBeInstanceOf(Error);
  });

  test("an AppError passes unchanged", () => {
    const error = unavailableError(null);
    expect(toCallError(error)).toBe(error);
  });
});
