import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { makeTestCertificate, type TestCertificate } from "../fixtures/test-certificate.ts";

/** A server on 127.0.0.1 for outgoing requests; over TLS its certificate is for `localhost`. */
export interface HttpTarget {
  readonly port: number;
  /** What came in, oldest first. */
  readonly requests: { method: string; path: string; host: string; body: string }[];
  /** What a client has to trust; undefined without TLS. */
  readonly ca: string | undefined;
  close(): Promise<void>;
}

export async function startHttpTarget(
  answer: http.RequestListener,
  { isTls = false }: { isTls?: boolean } = {},
): Promise<HttpTarget> {
  const certificate: TestCertificate | undefined = isTls ? makeTestCertificate() : undefined;
  const requests: HttpTarget["requests"] = [];
  const listener: http.RequestListener = (req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      const { method = "", url = "", headers } = req;
      const body = Buffer.concat(chunks).toString();
      requests.push({ method, path: url, host: headers.host ?? "", body });
      answer(req, res);
    });
  };
  const server = certificate
    ? https.createServer({ cert: certificate.cert, key: certificate.key }, listener)
    : http.createServer(listener);
  // A client that does not trust us ends the handshake: nothing to complain about.
  server.on("tlsClientError", () => {});
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    ca: certificate?.ca,
    close: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
}
