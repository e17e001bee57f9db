import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { decryptEmail, isUnreadable } from "../../content/decrypt-email.ts";
import { readKeptData } from "../../content/kept-answer.ts";
import { openDetails } from "../../content/stored-details.ts";
import { adminClaims } from "../../testing/fixtures/new-email.ts";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { type DirectSql, directSql } from "../../testing/servers/direct-sql.ts";
import { openMessage } from "./email-answer.ts";

setDefaultTimeout(180_000);

let api: TestApi;
let sql: DirectSql;
/** Two emails of ada's, one of bob's. */
let ids: string[];
beforeAll(async () => {
  api = await startTestApi();
  sql = await directSql(api.database);
  ids = [await failed(1, "ada"), await failed(2, "ada"), await failed(3, "bob")];
});
afterAll(async () => {
  await sql?.close();
  await api?.close();
});

async function failed(n: number, as: string): Promise<string> {
  const recipients = [`one-${n}@example.com`, `two-${n}@example.com`];
  const fields = { subject: `subject ${n}`, body: `body ${n}`, recipients };
  const id = await api.schedule(fields, { as });
  await api.deliver(id, { ...noUserReply, text: `unknown ${n}` });
  return id;
}

/** One stored ciphertext. */
interface Cell {
  table: string;
  column: string;
  where: string;
  emailId: string;
  value: unknown;
}

// Every column that holds a ciphertext; a test below compares with what the tables really hold.
const columns: Record<string, string[]> = {
  emails: ["wrapped_key", "sender", "subject"],
  contents: ["details", "message"],
  recipients: ["address", "reply"],
  attempts: ["reply"],
};
const keyOf: Record<string, string> = {
  emails: "id::text",
  contents: "email_id::text",
  recipients: "email_id || '/' || position",
  attempts: "email_id || '/' || number",
};

async function cells(): Promise<Cell[]> {
  const found: Cell[] = [];
  for (const [table, names] of Object.entries(columns)) {
    const place = String(keyOf[table]);
    for (const row of await sql.query(`select *, ${place} as place from mailer.${table}`)) {
      for (const column of names) {
        const where = `${place} = '${row.place}'`;
        const emailId = String(row.email_id ?? row.id);
        found.push({ table, column, where, emailId, value: row[column] });
      }
    }
  }
  return found;
}

function write({ table, column, where }: Cell, value: unknown): Promise<unknown> {
  return sql.query(`update mailer.${table} set ${column} = $1 where ${where}`, [value]);
}

/** A text column takes the other's bytes as the text they are, and the other way round. */
function fitting({ column }: Cell, value: unknown): unknown {
  if (column === "message") return Buffer.isBuffer(value) ? value : textBytes(String(value));
  if (!Buffer.isBuffer(value)) return value;
  const nonce = value.subarray(0, 12).toString("base64url");
  return `v1.${nonce}.${value.subarray(12).toString("base64url")}`;
}

function textBytes(text: string): Buffer {
  return Buffer.concat(
    text
      .split(".")
      .slice(-2)
      .map((part) => Buffer.from(part, "base64url")),
  );
}

/** Each part as this program opens it; `refused` where it does not open. */
async function opened(id: string): Promise<Record<string, unknown>> {
  const { emails, keyRing } = api.deps;
  const email = await emails.get(id, adminClaims, { details: true, message: true });
  if (!email) throw new Error("no such email");
  const { subject, recipients, attempts } = decryptEmail(email, keyRing);
  const [row] = await sql.query("select sender from mailer.emails where id = $1", [id]);
  const read = (open: () => unknown) => {
    try {
      return open();
    } catch (error) {
      const isRefusal = isUnreadable(error) || (error as { code?: string }).code !== undefined;
      if (!isRefusal) throw error;
      return null;
    }
  };
  const dataKey = () => keyRing.openDataKey(email.wrappedKey ?? "", email.id, email.ownerId);
  const message = read(() => openMessage(email, keyRing)) as Uint8Array | null;
  return {
    subject,
    ...Object.fromEntries(recipients.map((each) => [`address ${each.position}`, each.address])),
    ...Object.fromEntries(recipients.map((each) => [`reply ${each.position}`, each.reply])),
    ...Object.fromEntries(attempts.map((each) => [`attempt ${each.number}`, each.reply])),
    body: (read(() => openDetails(email, keyRing)) as { body?: string } | null)?.body ?? null,
    message: message && Buffer.from(message).toString(),
    sender: read(() => dataKey().decryptText(String(row?.sender), "sender")),
  };
}

describe("a ciphertext that was put elsewhere", () => {
  test("in any row, column or table, of any owner, never shows as what it is not", async () => {
    const all = await cells();
    const before = new Map<string, Record<string, unknown>>();
    for (const id of ids) before.set(id, await opened(id));
    for (const parts of before.values()) expect(Object.values(parts)).not.toContain(null);
    expect(all).toHaveLength(3 * (3 + 2 + 2 * 2 + 1));
    let pairs = 0;
    for (const to of all) {
      for (const from of all) {
        if (to === from) continue;
        pairs += 1;
        await write(to, fitting(to, from.value));
        const [was, is] = [before.get(to.emailId) ?? {}, await opened(to.emailId)];
        const changed = Object.keys(was).filter((part) => is[part] !== was[part]);
        const what = `${from.table}.${from.column} in ${to.table}.${to.column}`;
        // What a wrapped key opens is all of the email; in the message is also the body.
        const lost = { wrapped_key: Object.keys(was).length, message: 2 }[to.column] ?? 1;
        const shown = changed.map((part) => is[part]);
        expect({ what, lost: changed.length, shown: new Set(shown) }).toEqual({
          what,
          lost,
          shown: new Set([null]),
        });
        await write(to, to.value);
      }
    }
    expect(pairs).toBe(all.length * (all.length - 1));
    for (const id of ids) expect(await opened(id)).toEqual(before.get(id) ?? {});
  });

  test("an email that was given to another owner opens for nobody", async () => {
    const id = ids[0] ?? "";
    const before = await opened(id);
    const give = "update mailer.emails set owner_id = $1 where id = $2";
    await sql.query(give, ["bob", id]);
    expect(new Set(Object.values(await opened(id)))).toEqual(new Set([null]));
    await sql.query(give, ["ada", id]);
    expect(await opened(id)).toEqual(before);
  });

  test("no other column of these tables holds a ciphertext", async () => {
    for (const [table, names] of Object.entries(columns)) {
      for (const row of await sql.query(`select * from mailer.${table}`)) {
        const found = Object.keys(row).filter((name) => String(row[name]).startsWith("v1."));
        // The message is bytes.
        expect(found.sort()).toEqual(names.filter((name) => name !== "message").sort());
      }
    }
  });

  test("an answer kept for another key, path or owner is refused", async () => {
    for (const [key, as] of [
      ["k1", "ada"],
      ["k2", "ada"],
      ["k1", "bob"],
    ] as const) {
      const headers = { "idempotency-key": key };
      await api.schedule({ scheduled_at: "2030-01-01T00:00:00Z" }, { headers, as });
    }
    const rows = await sql.query("select * from mailer.idempotency_keys");
    expect(rows).toHaveLength(3);
    for (const to of rows) {
      for (const from of rows) {
        const idempotency = { path: String(to.path), key: String(to.key), fingerprint: "" };
        const request = { ownerId: String(to.owner_id), idempotency };
        const response = String(from.response);
        const kept = { kind: "replayed", response, createdAt: new Date() } as const;
        const read = () => readKeptData(api.deps.keyRing, request, kept);
        if (to === from) expect(read()).toHaveProperty("emails");
        else expect(read).toThrow("cannot decrypt");
      }
    }
  });
});

describe("one email that does not open", () => {
  test("is shown with nulls and says so, hides no other, and is logged once", async () => {
    const [broken, whole] = [ids[0] ?? "", ids[1] ?? ""];
    const set = "update mailer.emails set subject = $1 where id = $2 returning subject";
    const [kept] = await sql.query("select subject from mailer.emails where id = $1", [broken]);
    await sql.query(set, ["v1.AAAA.BBBB", broken]);
    for (const path of ["/scheduled-emails", "/dead-letters", "/scheduled-emails"]) {
      const { status, json } = await api.request("GET", `/api/v1${path}?limit=100`);
      const rows = json.data as unknown as Record<string, unknown>[];
      const of = (id: string) => rows.find((row) => row.id === id);
      expect(status).toBe(200);
      expect(of(broken)).toMatchObject({ unreadable: true, subject: null, status: "failed" });
      expect(of(whole)).toMatchObject({ subject: "subject 2" });
      expect(of(whole)).not.toHaveProperty("unreadable");
    }
    const one = await api.request("GET", `/api/v1/emails/${broken}`);
    expect(one.json.data).toMatchObject({ unreadable: true, subject: null, body: "body 1" });
    const told = api.lines.filter(({ event }) => event === "email cannot be decrypted");
    expect(told).toMatchObject([{ email_id: broken }]);
    await sql.query(set, [kept?.subject, broken]);
  });

  test("without its key nothing of it is served, and the answer says why", async () => {
    const id = ids[2] ?? "";
    const stranger = `v1.0123456789ab.${"A".repeat(16)}.${"A".repeat(64)}`;
    await sql.query("update mailer.emails set wrapped_key = $1 where id = $2", [stranger, id]);
    const as = { as: "bob" };
    const status = await api.request("GET", `/api/v1/status/${id}`, as);
    expect(status.json.data).toMatchObject({ unreadable: true, subject: null });
    for (const path of ["raw", "attachments/0"]) {
      const answer = await api.request("GET", `/api/v1/emails/${id}/${path}`, as);
      expect(answer).toMatchObject({ status: 409, json: { code: "content_unreadable" } });
      expect(answer.text).not.toContain("0123456789ab");
    }
    const edit = { ...as, body: { subject: "x" } };
    const replay = await api.request("POST", `/api/v1/dead-letters/${id}/replay`, edit);
    expect(replay).toMatchObject({ status: 409, json: { code: "content_unreadable" } });
    const groups = await api.request("GET", "/api/v1/dead-letters/groups", as);
    expect(groups.status).toBe(200);
  });
});
