import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type http from "node:http";
import { gzipSync } from "node:zlib";
import { type HttpTarget, startHttpTarget } from "../testing/servers/http-target.ts";
import { createOutgoing, type OutgoingRequest } from "./create-outgoing.ts";
import { OutgoingError } from "./outgoing-error.ts";

const answers: Record<string, (res: http.ServerResponse) => void> = {
  "/": (res) => res.end("hello"),
  "/redirect": (res) => res.writeHead(302, { location: "/elsewhere" }).end("moved"),
  "/large": (res) => {
    // Never ends of its own accord.
    const more = () => {
      while (res.write(Buffer.alloc(16_384))) if (res.destroyed) return;
    };
    res.on("drain", more);
    more();
  },
  "/announced": (res) => res.writeHead(200, { "content-length": "1000000000" }).write("a"),
  "/headers": (res) => {
    for (let number = 0; number < 40; number++) res.setHeader(`x-${number}`, "a".repeat(1_000));
    res.end();
  },
  "/trickle": (res) => {
    const timer = setInterval(() => res.write("a"), 10);
    res.on("close", () => clearInterval(timer));
  },
  "/gzip": (res) => {
    res.setHeader("content-encoding", "gzip");
    res.end(gzipSync(Buffer.alloc(10_000_000)));
  },
  "/cut": (res) => {
    res.writeHead(200, { "content-length": "100" });
    res.write("half", () => res.destroy());
  },
};

function answer(req: http.IncomingMessage, res: http.ServerResponse): void {
  const path = req.url ?? "";
  if (path === "/silence") return;
  (answers[path] ?? answers["/"])?.(res);
}

let plain: HttpTarget;
let secure: HttpTarget;
beforeAll(async () => {
  plain = await startHttpTarget(answer);
  secure = await startHttpTarget(answer, { isTls: true });
});
afterAll(async () => {
  await plain.close();
  await secure.close();
});

const here = async () => ["127.0.0.1"];
const inside = createOutgoing({ allowPrivate: true, lookup: here });

function get(path: string, more: Partial<OutgoingRequest> = {}, by = inside) {
  return by.request({ method: "GET", url: `http://inside:${plain.port}${path}`, ...more });
}

async function refusalOf(request: Promise<unknown>): Promise<string> {
  const error: unknown = await request.then(
    () => "answered",
    (reason: unknown) => reason,
  );
  if (error instanceof OutgoingError) return error.code;
  throw error;
}

describe("an answer", () => {
  test("comes with status, headers and body; the host is the URL's, the body as given", async () => {
    const url = `http://inside:${plain.port}/a?b`;
    const sent = await inside.request({
      method: "POST",
      url,
      body: "a body",
      headers: { "Content-Type": "text/plain" },
    });
    expect({ ...sent, body: sent.body.toString() }).toMatchObject({ status: 200, body: "hello" });
    expect(plain.requests.at(-1)).toEqual({
      method: "POST",
      path: "/a?b",
      host: `inside:${plain.port}`,
      body: "a body",
    });
  });

  test("that redirects is the answer: nothing follows it", async () => {
    const before = plain.requests.length;
    const redirected = await get("/redirect");
    expect(redirected).toMatchObject({ status: 302, headers: { location: "/elsewhere" } });
    expect(plain.requests.length).toBe(before + 1);
  });

  test("is not unpacked, so that a small one stays small", async () => {
    const packed = await get("/gzip");
    expect(packed.body.length).toBeLessThan(20_000);
  });

  test("comes over TLS from a host whose certificate is for the name", async () => {
    const by = createOutgoing({ allowPrivate: true, lookup: here, ca: secure.ca });
    const url = `https://localhost:${secure.port}/`;
    expect(await by.request({ method: "GET", url })).toMatchObject({ status: 200 });
    const literal = `https://127.0.0.1:${secure.port}/`;
    expect(await by.request({ method: "GET", url: literal })).toMatchObject({ status: 200 });
  });

  test("comes from the second address when nobody listens at the first", async () => {
    const by = createOutgoing({ allowPrivate: true, lookup: async () => ["::1", "127.0.0.1"] });
    expect(await get("/", {}, by)).toMatchObject({ status: 200 });
  });
});

describe("no answer", () => {
  test("from a certificate for another name, or of an unknown authority", async () => {
    const before = secure.requests.length;
    const trusting = createOutgoing({ allowPrivate: true, lookup: here, ca: secure.ca });
    const other = `https://other.example:${secure.port}/`;
    expect(await refusalOf(trusting.request({ method: "GET", url: other }))).toBe("not_reached");
    const local = `https://localhost:${secure.port}/`;
    expect(await refusalOf(inside.request({ method: "GET", url: local }))).toBe("not_reached");
    expect(secure.requests.length).toBe(before);
  });

  test.each(["/large", "/headers"])("from one that sends too much: %s", async (path) => {
    expect(await refusalOf(get(path, { answerBytesMax: 50_000 }))).toBe("answer_too_large");
  });

  test.each(["/silence", "/trickle", "/announced"])(
    "from one that takes too long, whatever it does meanwhile: %s",
    async (path) => {
      expect(await refusalOf(get(path, { deadlineMs: 300 }))).toBe("too_slow");
    },
  );

  test("from a resolver that never answers", async () => {
    const by = createOutgoing({ allowPrivate: true, lookup: () => new Promise(() => {}) });
    expect(await refusalOf(get("/", { deadlineMs: 100 }, by))).toBe("too_slow");
  });

  test("from one that hangs up in the middle", async () => {
    expect(await refusalOf(get("/cut"))).toBe("not_reached");
  });

  test("where nobody listens", async () => {
    const url = "http://127.0.0.1:1024/";
    expect(await refusalOf(inside.request({ method: "GET", url }))).toBe("not_reached");
  });

  test("from a name without an address", async () => {
    const none = createOutgoing({ allowPrivate: true, lookup: async () => [] });
    expect(await refusalOf(get("/", {}, none))).toBe("not_resolved");
    const failing = () => Promise.reject(new Error("ENOTFOUND"));
    const unknown = createOutgoing({ allowPrivate: true, lookup: failing });
    expect(await refusalOf(get("/", {}, unknown))).toBe("not_resolved");
  });

  test("in clear from an address of the internet, even where private ones are open", async () => {
    const by = createOutgoing({ allowPrivate: true, lookup: async () => ["8.8.8.8"] });
    expect(await refusalOf(get("/", {}, by))).toBe("address_refused");
  });
});

describe("a request that must not reach this machine", () => {
  const url = () => `https://rebind.example:${secure.port}/`;

  test.each([[["127.0.0.1"]], [["8.8.8.8", "10.0.0.1"]], [["::ffff:127.0.0.1"]], [["fdaa::3"]]])(
    "is refused when its name leads to %j",
    async (addresses) => {
      const by = createOutgoing({ allowPrivate: false, lookup: async () => addresses });
      const before = secure.requests.length;
      expect(await refusalOf(by.request({ method: "GET", url: url() }))).toBe("address_refused");
      expect(secure.requests.length).toBe(before);
    },
  );

  test("asks for the name once, so that a second answer changes nothing", async () => {
    let asked = 0;
    const rebinding = async () => (asked++ === 0 ? ["127.0.0.1"] : ["127.0.0.99"]);
    const by = createOutgoing({ allowPrivate: true, lookup: rebinding });
    expect(await get("/", {}, by)).toMatchObject({ status: 200 });
    expect(asked).toBe(1);
  });

  test("connects to the judged address although the name now leads here", async () => {
    let asked = 0;
    const rebinding = async () => (asked++ === 0 ? ["8.8.8.8"] : ["127.0.0.1"]);
    const by = createOutgoing({ allowPrivate: false, lookup: rebinding, ca: secure.ca });
    const before = secure.requests.length;
    // Nothing answers at that address and port, or there is no network at all.
    const local = `https://localhost.example:${secure.port}/`;
    const refusal = await refusalOf(by.request({ method: "GET", url: local, deadlineMs: 500 }));
    expect(["not_reached", "too_slow"]).toContain(refusal);
    expect(asked).toBe(1);
    expect(secure.requests.length).toBe(before);
  });

  test("goes by no proxy that the environment names", async () => {
    const script = `
      import { createOutgoing } from ${JSON.stringify(`${import.meta.dir}/create-outgoing.ts`)};
      const by = createOutgoing({ allowPrivate: true });
      const { status } = await by.request({ method: "GET", url: process.argv.at(-1) });
      console.log(status);`;
    const proxy = "http://127.0.0.1:9";
    const names = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"];
    const env = {
      NODE_USE_ENV_PROXY: "1",
      ...Object.fromEntries(names.map((one) => [one, proxy])),
    };
    const child = Bun.spawn([process.execPath, "-e", script, `http://127.0.0.1:${plain.port}/`], {
      env: { PATH: process.env.PATH ?? "", ...env },
    });
    expect((await new Response(child.stdout).text()).trim()).toBe("200");
  });
});
