import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { readCompose } from "../testing/product/deployment-files.ts";
import type { Product } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import {
  asChild,
  freePort,
  guardFolder,
  privateFolder,
  until,
} from "../testing/servers/child-server.ts";
import { type NameServer, startNameServer } from "../testing/servers/name-server.ts";

setDefaultTimeout(90_000);

const { proxy } = readCompose({}).services;
let stack: ProductionStack;
let names: NameServer;
let backends: Product[];
let url: string;
let stop: () => void;

/** Two backends on one port of two addresses of this machine, as two containers have it. */
beforeAll(async () => {
  stack = await startStack();
  const port = `${await freePort()}`;
  const addresses = ["127.0.0.1", "127.0.0.2"];
  const shared = { ROLE: "api", PORT: port, TRUST_PROXY: "true" };
  backends = await Promise.all(
    addresses.map((HOST) => stack.start({ ...shared, HOST, REGION: HOST })),
  );
  names = await startNameServer(addresses);
  ({ url, stop } = await startProxy({ backendPort: port, nameServerPort: names.port }));
});
afterAll(async () => {
  stop?.();
  await names?.close();
  await stack?.close();
});

interface ProxyOptions {
  backendPort: string;
  nameServerPort: number;
}

/** Caddy by the command of the compose file, with ports that are free here. */
async function startProxy({ backendPort, nameServerPort }: ProxyOptions) {
  const folder = privateFolder("proxy");
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const caddyfile = proxy?.environment.CADDYFILE ?? "";
  const ours = caddyfile
    .replace(
      "dynamic a backend 3000 {",
      `dynamic a backend ${backendPort} {\n resolvers udp/127.0.0.1:${nameServerPort}`,
    )
    .replace("http://:3000", `http://127.0.0.1:${port}`);
  const server = Bun.spawn(asChild([...(proxy?.command ?? [])], "SIGKILL", null), {
    cwd: folder,
    env: {
      ...proxy?.environment,
      CADDYFILE: ours,
      PUBLIC_URL: "",
      HOME: folder,
      PATH: process.env.PATH ?? "",
    },
    stdout: "ignore",
    stderr: "ignore",
  });
  guardFolder(folder)(server.pid);
  const address = `http://127.0.0.1:${port}`;
  await until(
    "the proxy answers",
    async () => (await get(address, "/health/live")) === 200,
    20_000,
  );
  return { url: address, stop: () => server.kill("SIGKILL") };
}

async function get(base: string, path: string): Promise<number> {
  return await fetch(`${base}${path}`, { headers: { connection: "close" } }).then(
    ({ status }) => status,
    () => 0,
  );
}

/** A page that is not there is the cheapest request that stands in the log. */
function requestsTo({ output }: Product): number {
  return output().split('"path":"(no route)"').length - 1;
}

describe("the load balancer of docker-compose.production.yml", () => {
  test("spreads requests over every backend", async () => {
    const before = backends.map(requestsTo);
    for (let i = 0; i < 20; i++) expect(await get(url, "/docs/nothing")).toBe(404);
    const gone = backends.map((backend, index) => requestsTo(backend) - (before[index] ?? 0));
    expect(gone[0]).toBeGreaterThan(5);
    expect(gone[1]).toBeGreaterThan(5);
  });

  test("a backend that dies takes no request with it", async () => {
    await backends[1]?.kill();
    for (let i = 0; i < 20; i++) expect(await get(url, "/docs/nothing")).toBe(404);
  });

  test("one that is added is found without a restart", async () => {
    const [first] = backends;
    const added = await stack.start({
      ...{ ROLE: "api", PORT: `${first?.port}`, HOST: "127.0.0.3", TRUST_PROXY: "true" },
    });
    names.setAddresses(["127.0.0.1", "127.0.0.3"]);
    await until(
      "it gets requests",
      async () => {
        await get(url, "/docs/nothing");
        return requestsTo(added) > 0;
      },
      20_000,
    );
  });
});
