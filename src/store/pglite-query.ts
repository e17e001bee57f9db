import { type messages, type PGlite, protocol } from "@electric-sql/pglite";
import pg from "pg";
import { prepareValue } from "pg/lib/utils.js";

export interface PgliteResult {
  rows: Record<string, unknown>[];
  rowCount: number | null;
}

/**
 * Runs one query on a PGlite that the caller holds exclusively (`holdPglite`), with the values
 * in and out as `pg` would have them. All protocol messages go in at once, its Sync among
 * them, so that the session is ready again whatever happens; `pglite.query` sends six.
 */
export async function queryPglite(
  pglite: PGlite,
  text: string,
  values: readonly unknown[] = [],
): Promise<PgliteResult> {
  // As in `pg`: without values several statements may come in one text.
  const request = values.length === 0 ? protocol.serialize.query(text) : extended(text, values);
  const { messages: answers } = await pglite.execProtocol(request, { syncToFs: false });
  if (!answers.some(({ name }) => name === "readyForQuery")) {
    throw new Error("PGlite broke off in the middle of a query");
  }
  return toResult(answers);
}

/**
 * Has PGlite's one session to itself while `work` runs. The turn begins with the event loop:
 * a call runs synchronously, and a row of them would otherwise keep timers and sockets waiting.
 */
export function holdPglite<T>(pglite: PGlite, work: () => Promise<T>): Promise<T> {
  return pglite._runExclusiveTransaction(() =>
    pglite.runExclusive(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return work();
    }),
  );
}

function extended(text: string, values: readonly unknown[]): Uint8Array {
  const { parse, bind, describe, execute, sync } = protocol.serialize;
  const prepared = values.map((value) => {
    const text = prepareValue(value);
    return typeof text === "string" || text === null ? text : text.toString("utf8");
  });
  return Buffer.concat([
    parse({ text }),
    bind({ values: prepared }),
    describe({ type: "P" }),
    execute({}),
    sync(),
  ]);
}

function toResult(answers: messages.BackendMessage[]): PgliteResult {
  let fields: messages.RowDescriptionMessage["fields"] = [];
  let rows: Record<string, unknown>[] = [];
  let rowCount: number | null = null;
  for (const answer of answers) {
    if (isNamed<messages.RowDescriptionMessage>(answer, "rowDescription")) {
      fields = answer.fields;
      rows = [];
    } else if (isNamed<messages.DataRowMessage>(answer, "dataRow")) {
      rows.push(toRow(fields, answer.fields));
    } else if (isNamed<messages.CommandCompleteMessage>(answer, "commandComplete")) {
      const count = /\d+$/.exec(answer.text);
      rowCount = count === null ? null : Number(count[0]);
    }
  }
  return { rows, rowCount };
}

function isNamed<M extends messages.BackendMessage>(
  message: messages.BackendMessage,
  name: M["name"],
): message is M {
  return message.name === name;
}

function toRow(
  fields: messages.RowDescriptionMessage["fields"],
  texts: (string | null)[],
): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const [index, { name, dataTypeID }] of fields.entries()) {
    const text = texts[index] ?? null;
    row[name] = text === null ? null : pg.types.getTypeParser(dataTypeID, "text")(text);
  }
  return row;
}
