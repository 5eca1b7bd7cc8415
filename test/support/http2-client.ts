import { once } from "node:events";
import type { ClientSessionOptions, SecureClientSessionOptions } from "node:http2";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";

/** Opens an HTTP/2 connection, which is destroyed at the end of the scope. */
export async function connectHttp2(
  url: string,
  options: ClientSessionOptions | SecureClientSessionOptions = {},
): Promise<ClientHttp2Session & Disposable> {
  const session = connect(url, options);
  // Tests await what they expect; a connection that the server cuts off must not fail them by an event.
  session.on("error", () => {});
  await once(session, "remoteSettings");
  return Object.assign(session, { [Symbol.dispose]: () => session.destroy() });
}

/** Makes a GET request and reads its answer to the end. */
export async function getText(session: ClientHttp2Session, path = "/"): Promise<string> {
  const stream = session.request({ ":path": path });
  return await readText(stream);
}

export async function readText(stream: ClientHttp2Stream): Promise<string> {
  stream.setEncoding("utf8");
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}
