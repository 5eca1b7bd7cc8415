import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempDisposable } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from "@aws-sdk/client-s3";
import { startTcpRelay, type TcpRelay } from "./tcp-relay.ts";

/** An S3 server with an empty bucket. Disposing of it removes the bucket, and ends the server if it was started here. */
export interface TestS3 extends AsyncDisposable {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** What is between the tests and the server, where outages are made. */
  readonly network: TcpRelay;
  /** Makes the server out of reach. */
  stop(): Promise<void>;
  /** Makes it reachable again, at the same address. */
  start(): Promise<void>;
  /** Keys in the bucket, up to a thousand. */
  listKeys(prefix?: string): Promise<readonly string[]>;
  /** Removes the bucket with all that is in it. */
  removeBucket(): Promise<void>;
  createBucket(): Promise<void>;
}

/**
 * Starts an S3 server for tests: an emulator (s3rver), which comes with the development dependencies. With
 * `TEST_S3_ENDPOINT` (`http://host:port`), `TEST_S3_ACCESS_KEY` and `TEST_S3_SECRET_KEY` set, uses that server instead.
 */
export async function startTestS3(): Promise<TestS3> {
  await using opened = new AsyncDisposableStack();
  const { endpoint, accessKeyId, secretAccessKey } = realServer() ?? opened.use(await startEmulator());
  const { hostname, port } = new URL(endpoint);
  const network = opened.use(await startTcpRelay(hostname, Number(port)));
  const credentials = { accessKeyId, secretAccessKey };
  const region = "us-east-1";
  const admin = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  opened.defer(() => admin.destroy());
  const bucket = new Bucket(admin, `comfyrpc-test-${randomUUID()}`);
  await bucket.create();
  opened.defer(() => bucket.remove());
  const owned = opened.move();
  return {
    endpoint: `http://127.0.0.1:${network.port}`,
    region,
    bucket: bucket.name,
    ...credentials,
    network,
    stop: () => network.stop(),
    start: () => network.start(),
    listKeys: (prefix) => bucket.listKeys(prefix),
    removeBucket: () => bucket.remove(),
    createBucket: () => bucket.create(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Server {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

function realServer(): Server | undefined {
  const {
    TEST_S3_ENDPOINT: endpoint,
    TEST_S3_ACCESS_KEY: accessKeyId,
    TEST_S3_SECRET_KEY: secretAccessKey,
  } = process.env;
  if (endpoint === undefined) {
    return undefined;
  }
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new Error("TEST_S3_ENDPOINT needs TEST_S3_ACCESS_KEY and TEST_S3_SECRET_KEY");
  }
  return { endpoint, accessKeyId, secretAccessKey };
}

/** In a process of its own, since it would otherwise catch the errors of the tests. */
async function startEmulator(): Promise<Server & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const { path: directory } = opened.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-s3-")));
  const program = createRequire(import.meta.url).resolve("s3rver/bin/s3rver.js");
  const args = [
    program,
    "--directory",
    directory,
    "--address",
    "127.0.0.1",
    "--port",
    "0",
    "--no-vhost-buckets",
  ];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
  const exit = once(child, "exit");
  opened.defer(async () => {
    child.kill("SIGKILL");
    await exit;
  });
  const lines = createInterface({ input: child.stdout });
  const address = Promise.withResolvers<string>();
  lines.on("line", (line) => {
    const port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) {
      address.resolve(`http://127.0.0.1:${port}`);
    }
  });
  lines.on("close", () => address.reject(new Error("the S3 server ended before it listened")));
  const endpoint = await address.promise;
  const owned = opened.move();
  return {
    endpoint,
    accessKeyId: "S3RVER",
    secretAccessKey: "S3RVER",
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

class Bucket {
  readonly name: string;
  readonly #client: S3Client;
  #exists = false;

  constructor(client: S3Client, name: string) {
    this.#client = client;
    this.name = name;
  }

  async create(): Promise<void> {
    await this.#client.send(new CreateBucketCommand({ Bucket: this.name }));
    this.#exists = true;
  }

  async listKeys(prefix = ""): Promise<readonly string[]> {
    const { Contents } = await this.#client.send(
      new ListObjectsV2Command({ Bucket: this.name, Prefix: prefix }),
    );
    return (Contents ?? []).flatMap(({ Key }) => Key ?? []);
  }

  async remove(): Promise<void> {
    if (!this.#exists) {
      return;
    }
    for (let keys = await this.listKeys(); keys.length > 0; keys = await this.listKeys()) {
      for (const key of keys) {
        await this.#client.send(new DeleteObjectCommand({ Bucket: this.name, Key: key }));
      }
    }
    await this.#client.send(new DeleteBucketCommand({ Bucket: this.name }));
    this.#exists = false;
  }
}
