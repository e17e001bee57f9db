import type { components, operations } from "./api-types.ts";

export type Schemas = components["schemas"];
export type OperationId = keyof operations;

type Given<Name extends string, Value> = [Value] extends [never]
  ? { [name in Name]?: never }
  : undefined extends Value
    ? { [name in Name]?: Exclude<Value, undefined> }
    : { [name in Name]: Value };

/** An optional part is one that may be left out as a whole. */
type Part<Of, Name extends string> = Of extends { [name in Name]: infer Value }
  ? Value
  : Of extends { [name in Name]?: infer Value }
    ? Value | undefined
    : never;

type Json<Content> = Content extends { "application/json": infer Body } ? Body : never;

export interface CallOptions {
  /** For operations that honour it; default: a new one for each call. */
  idempotencyKey?: string;
  /** The version that is changed, in double quotes: `"3"`. */
  ifMatch?: string;
  signal?: AbortSignal;
}

/** What an operation takes: `path`, `query` and `body`, where it has them. */
export type Input<Id extends OperationId> = Given<
  "path",
  Part<operations[Id]["parameters"], "path">
> &
  Given<"query", Part<operations[Id]["parameters"], "query">> &
  Given<"body", BodyOf<operations[Id]>> &
  CallOptions;

type BodyOf<Operation> = Operation extends { requestBody: { content: infer Content } }
  ? Json<Content>
  : Operation extends { requestBody?: { content: infer Content } }
    ? Json<Content> | undefined
    : never;

type Contents<Responses> = {
  [Status in keyof Responses]: Responses[Status] extends { content: infer Content }
    ? Content
    : never;
}[keyof Responses];

/** What an operation answers: JSON as its body, anything else as its bytes. */
export type Output<Id extends OperationId> =
  Contents<operations[Id]["responses"]> extends infer Content
    ? Content extends { "application/json": infer Body }
      ? Body
      : Uint8Array
    : never;

/** One entry of an operation that answers a list in pages. */
export type Entry<Id extends OperationId> =
  Output<Id> extends { data: (infer One)[]; page: object } ? One : never;
export type ListId = { [Id in OperationId]: [Entry<Id>] extends [never] ? never : Id }[OperationId];

/** An operation that needs nothing is called with nothing. */
export type Call<Id extends OperationId> =
  Partial<Input<Id>> extends Input<Id>
    ? (input?: Input<Id>) => Promise<Output<Id>>
    : (input: Input<Id>) => Promise<Output<Id>>;
