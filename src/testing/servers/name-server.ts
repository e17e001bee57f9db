import { createSocket } from "node:dgram";

/** A DNS server on this machine that knows one name, as Docker's knows the replicas of a service. */
export interface NameServer {
  readonly port: number;
  /** IPv4 addresses that the name has from now on. */
  setAddresses(addresses: readonly string[]): void;
  close(): Promise<void>;
}

const typeA = 1;

/** Answers every question for an A record with the addresses, and any other with none. */
export async function startNameServer(addresses: readonly string[]): Promise<NameServer> {
  const socket = createSocket("udp4");
  let known = addresses;
  socket.on("message", (query, from) => {
    const endOfName = query.indexOf(0, 12) + 1;
    const isA = query.readUInt16BE(endOfName) === typeA;
    const answer = answerTo(query, endOfName, isA ? known : []);
    socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return {
    port: socket.address().port,
    setAddresses: (next) => {
      known = next;
    },
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

/** RFC 1035 section 4: the header, the question as it came, and one record for each address. */
function answerTo(query: Buffer, endOfName: number, addresses: readonly string[]): Buffer {
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  // An answer, authoritative, recursion available, no error.
  header.writeUInt16BE(0x8580, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(addresses.length, 6);
  const records = addresses.map((address) => {
    const record = Buffer.alloc(16);
    // The name: the one of the question, at its offset.
    record.writeUInt16BE(0xc00c, 0);
    record.writeUInt16BE(typeA, 2);
    record.writeUInt16BE(1, 4);
    // Kept for no time.
    record.writeUInt32BE(0, 6);
    record.writeUInt16BE(4, 10);
    Buffer.from(address.split(".").map(Number)).copy(record, 12);
    return record;
  });
  return Buffer.concat([header, query.subarray(12, endOfName + 4), ...records]);
}
