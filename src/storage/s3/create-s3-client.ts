import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";

/** How to reach an S3-compatible server, and for how long to try. */
export interface S3ClientOptions {
  /** `https://s3.example.com:9000`. Default: that of Amazon S3 in `region`. */
  readonly endpoint?: string;
  /** Servers other than Amazon's mostly take any; `us-east-1` is a good guess then. */
  readonly region: string;
  /**
   * To be given both or not at all: without them the AWS SDK looks where it always does (the environment, `~/.aws`, the
   * roles of a container or machine), and renews what it finds.
   */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** Of temporary credentials. */
  readonly sessionToken?: string;
  /** `endpoint/bucket/key` rather than `bucket.endpoint/key`: what most servers other than Amazon's want. */
  readonly pathStyle: boolean;
  /** Longest time to connect, in milliseconds. Default: 5 000. */
  readonly connectTimeoutMs?: number;
  /** Longest silence while an answer, or the next bytes of one, are awaited, in milliseconds. Default: 20 000. */
  readonly silenceTimeoutMs?: number;
  /** How often a request is tried if repeating it may help. Default: 3. */
  readonly maxAttempts?: number;
}

/** The options that have defaults, filled in. */
export function limitsOf(options: S3ClientOptions): {
  readonly connectTimeoutMs: number;
  readonly silenceTimeoutMs: number;
  readonly maxAttempts: number;
} {
  return {
    connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
    silenceTimeoutMs: options.silenceTimeoutMs ?? 20_000,
    maxAttempts: options.maxAttempts ?? 3,
  };
}

/** Makes a client. It connects when it is used. */
export function createS3Client(options: S3ClientOptions): S3Client {
  const { connectTimeoutMs, silenceTimeoutMs, maxAttempts } = limitsOf(options);
  // Every reader of a blob keeps a connection, however slow it is: with a bound on connections, a few of them would
  // keep all others from the store. How many read at once is bounded by those who let them in.
  const agent = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY };
  return new S3Client({
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    region: options.region,
    forcePathStyle: options.pathStyle,
    ...credentialsOf(options),
    maxAttempts,
    // Not the CRC trailers of newer SDKs, which many servers refuse. Uploads are checked by their SHA-256 instead.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // Waiting for "100 Continue" costs a round trip and a new connection, to save the body of a request that is refused.
    expectContinueHeader: false,
    logger: silent,
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      requestTimeout: silenceTimeoutMs,
      throwOnRequestTimeout: true,
      // Would break off downloads whose reader is slow, as then it is we who are silent.
      socketTimeout: 0,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
}

function credentialsOf(options: S3ClientOptions): Pick<S3ClientConfig, "credentials"> {
  const { accessKeyId, secretAccessKey, sessionToken } = options;
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    return {};
  }
  return {
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
  };
}

/** Without a logger of its own, the SDK writes some warnings to the console. What fails is reported by its errors. */
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
