import { until } from "../servers/child-server.ts";
import type { Product } from "./product.ts";
import type { ProductionStack } from "./production-stack.ts";

export interface Answer {
  status: number;
  text: string;
}

export interface Question {
  method?: string;
  headers: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
}

/** Two processes on one stack, asked in turn as behind a load balancer. */
export interface Fleet {
  readonly products: readonly Product[];
  /** Asks the next process; another one where that cannot be reached or says that it stops (503). */
  ask(path: string, question: Question): Promise<Answer>;
  /** Asks every process. */
  askAll(path: string, question: Question): Promise<Answer[]>;
  /**
   * Stops and starts one process after the other with these settings put over the stack's. After
   * each it waits until `sending` was answered by the old and the new beside each other.
   */
  restart(env: Record<string, string>, sending: Sending<unknown>): Promise<void>;
  stop(): Promise<void>;
}

/** Every process was asked for each kind of request by then. */
const answersMin = 6;
const unreached: Answer = { status: 0, text: "" };

export async function startFleet(
  stack: ProductionStack,
  env: Record<string, string>,
): Promise<Fleet> {
  const products = await Promise.all([stack.start(env), stack.start(env)]);
  const size = products.length;
  let turn = 0;
  return {
    products,
    async ask(path, question) {
      turn += 1;
      let last = unreached;
      // Once more than there are: one may be back, and another gone, between two tries.
      for (let tries = 0; tries <= size; tries++) {
        const product = products[(turn + tries) % size];
        if (product !== undefined) last = await put(product, path, question);
        if (last.status !== 0 && last.status !== 503) break;
      }
      return last;
    },
    askAll: (path, question) =>
      Promise.all(products.map((product) => put(product, path, question))),
    async restart(settings, sending) {
      for (const [index, product] of products.entries()) {
        await product.stop();
        products[index] = await stack.start(settings);
        const seen = sending.count();
        await until("both answer", () => sending.count() > seen + answersMin, 10_000);
      }
    },
    async stop() {
      await Promise.all(products.map((product) => product.stop()));
    },
  };
}

/** Status 0: nobody answered. */
async function put(product: Product, path: string, question: Question): Promise<Answer> {
  const { method = "GET", headers, body } = question;
  try {
    const answer = await fetch(`${product.url}${path}`, {
      ...{ method, redirect: "manual" as const, signal: AbortSignal.timeout(10_000) },
      headers: {
        ...headers,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, text: await answer.text() };
  } catch {
    // It has just stopped, or is not there yet.
    return unreached;
  }
}

export interface Sending<T> {
  /** How many were answered so far. */
  count(): number;
  /** Ends it, and says what each came to. */
  stop(): Promise<T[]>;
}

/** Sends one request after another until it is stopped. */
export function sendSteadily<T>(send: () => Promise<T>): Sending<T> {
  const answers: T[] = [];
  let isStopped = false;
  const sending = (async () => {
    while (!isStopped) {
      answers.push(await send());
      await Bun.sleep(5);
    }
  })();
  return {
    count: () => answers.length,
    async stop() {
      isStopped = true;
      await sending;
      return answers;
    },
  };
}
