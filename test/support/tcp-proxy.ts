import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A way to a server that can go silent, as a network does when it loses a machine. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** From now on nothing more passes over the connections that there are, in neither direction; they stay open. */
  silence(): void;
}

export async function startTcpProxy(host: string, port: number): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer((inner) => {
    const pair = [inner, connect(port, host)] as const;
    pairs.add(pair);
    const [, outer] = pair;
    inner.pipe(outer);
    outer.pipe(inner);
    for (const socket of pair) {
      socket.on("error", () => {}); // followed by close
      socket.on("close", () => {
        pairs.delete(pair);
        inner.destroy();
        outer.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    silence() {
      for (const [inner, outer] of pairs) {
        inner.unpipe(outer).resume(); // what comes is read and thrown away
        outer.unpipe(inner).resume();
      }
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const [inner, outer] of pairs) {
        inner.destroy();
        outer.destroy();
      }
      await once(server, "close");
    },
  };
}
