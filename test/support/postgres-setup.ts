import { once } from "node:events";
import { createServer } from "node:http";
import type { TestProject } from "vitest/node";
import { findPostgresBinaries, type PostgresServer, startPostgresServer } from "./postgres-server.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Which PostgreSQL the tests of this run share, and how to get one of their own. */
    postgres: {
      /** The operator's: of a database whose role may create others. */
      readonly url?: string;
      /** The folder of its programs; absent if there are none on this machine. */
      readonly binaries?: string;
      /** Where to ask for the URL of the server that the run shares, which is started by the first who asks. */
      readonly sharedServerUrl: string;
    };
  }
}

/** Vitest calls this once a run: all test files share one server, and a run that needs none starts none. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await using stack = new AsyncDisposableStack();
  const binaries = await findPostgresBinaries();
  let starting: Promise<PostgresServer> | undefined;
  stack.defer(async () => {
    await (await starting?.catch(() => undefined))?.[Symbol.asyncDispose]();
  });

  const door = createServer(async (_, response) => {
    try {
      if (!binaries) {
        throw new Error("PostgreSQL is not installed");
      }
      starting ??= startPostgresServer(binaries);
      response.end((await starting).url);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  door.listen(0, "127.0.0.1");
  await once(door, "listening");
  stack.defer(() => void door.close());

  const address = door.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const url = process.env.DATABASE_URL;
  project.provide("postgres", {
    ...(url && { url }),
    ...(binaries && { binaries }),
    sharedServerUrl: `http://127.0.0.1:${port}/`,
  });
  const open = stack.move();
  return () => open.disposeAsync();
}
