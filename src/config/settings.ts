import { validateHeaderName, validateHeaderValue } from "node:http";
import { z } from "zod";

/**
 * What callers have no need of and may do harm: writing models and training them fills the disk of the backend, and the
 * outputs of other jobs are not theirs to read.
 */
const deniedByDefault = [
  "CheckpointSave",
  "CLIPSave",
  "ImageOnlyCheckpointSave",
  "LoadImageOutput",
  "LoraSave",
  "ModelSave",
  "SaveLoRA*",
  "Train*",
  "VAESave",
] as const;

/** A setting of the service: where it is read from, what it means, and how its text becomes a value. */
export interface Setting<T> {
  /** Environment variable. */
  readonly env: string;
  /** For people: what it is, its unit and range. */
  readonly help: string;
  /** For people: what holds if it is not set. */
  readonly defaultText: string;
  /** Reads the text; `undefined` stands for "not set". */
  readonly schema: z.ZodType<T, string | undefined>;
}

const text = (fallback: string) => z.string().trim().default(fallback);
const optionalText = () =>
  z
    .string()
    .trim()
    .optional()
    .transform((value) => value || undefined);
const integer = (min: number, max: number, fallback: number) =>
  z
    .string()
    .trim()
    .regex(/^\d+$/, "must be a whole number")
    .transform(Number)
    .pipe(z.number().int().min(min).max(max))
    .default(fallback);
const flag = () =>
  z
    .enum(["true", "false", "1", "0", ""], { error: "must be true or false" })
    .default("false")
    .transform((value) => value === "true" || value === "1");
const list = () =>
  text("").transform((value) =>
    value
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
  );
const origins = () =>
  list().superRefine((parts, context) => {
    for (const part of parts) {
      if (part !== "*" && originOf(part) !== part) {
        context.addIssue({ code: "custom", message: notAnOrigin(part) });
      }
    }
  });
/** As a URL spells them. */
const hostPatterns = () =>
  list().transform((parts, context) =>
    parts.map((part) => {
      const [, prefix = "", name = ""] = /^(\*\.)?(.*)$/.exec(part) ?? [];
      const url = URL.parse(`https://${name}`);
      if (url === null || /[/?#@:*\s]/.test(name)) {
        context.addIssue({
          code: "custom",
          message: `${part} is no host; write a name such as images.example.com, or *.example.com`,
        });
      }
      return prefix + (url?.hostname ?? "");
    }),
  );
const headers = () =>
  optionalText()
    .transform((value, context) => {
      try {
        return z.record(z.string(), z.string()).parse(value === undefined ? {} : JSON.parse(value));
      } catch {
        context.addIssue({
          code: "custom",
          message: 'must be a JSON object of texts, such as {"X-Key":"…"}',
        });
        return z.NEVER;
      }
    })
    .superRefine((values, context) => {
      for (const [name, value] of Object.entries(values)) {
        const message = headerProblem(name, value);
        if (message !== undefined) {
          context.addIssue({ code: "custom", message });
        }
      }
    });
const bearerToken = () =>
  optionalText().refine(
    (value) => value === undefined || headerProblem("authorization", value) === undefined,
    { error: "has a character that no HTTP header may have, such as a line break" },
  );
const httpUrl = () =>
  optionalText().superRefine((value, context) => {
    const message = value === undefined ? undefined : httpUrlProblem(value);
    if (message !== undefined) {
      context.addIssue({ code: "custom", message });
    }
  });
const postgresUrl = () =>
  optionalText().refine(
    (value) => value === undefined || /^postgres(ql)?:$/.test(URL.parse(value)?.protocol ?? ""),
    { error: "must be a postgres:// address" },
  );
const backends = () =>
  list().transform((parts, context): readonly NamedAddress[] => {
    const named = parts.map((part, i) => {
      const [, name = "", url = part] = /^([A-Za-z0-9._-]+)=(.*)$/.exec(part) ?? [];
      return { name: name || (parts.length === 1 ? "comfyui" : `comfyui-${i + 1}`), url };
    });
    for (const [i, { name, url }] of named.entries()) {
      const message = httpUrlProblem(url);
      if (message !== undefined) {
        context.addIssue({ code: "custom", message });
      }
      if (named.findIndex((one) => one.name === name) < i) {
        context.addIssue({ code: "custom", message: `the name ${name} is given to two backends` });
      }
    }
    return named;
  });

/** Where something is, and what we call it. */
export interface NamedAddress {
  readonly name: string;
  readonly url: string;
}

function httpUrlProblem(value: string): string | undefined {
  if (!/^https?:$/.test(URL.parse(value)?.protocol ?? "")) {
    return "must be an http:// or https:// address";
  }
  return /[?#]/.test(value)
    ? "must end with the base path, without a query (?) or a fragment (#)"
    : undefined;
}

/** The origin that a browser would send for `text`; one of another scheme than http is taken as it is written. */
function originOf(text: string): string | undefined {
  const url = URL.parse(text);
  if (url?.protocol === "http:" || url?.protocol === "https:") {
    return url.origin;
  }
  return /^[a-z][a-z\d+.-]*:\/\/[^/?#@\s]+$/.exec(text)?.[0];
}

function notAnOrigin(text: string): string {
  const origin = originOf(text);
  const advice =
    origin === undefined ? "write * or an origin such as https://app.example.com" : `write ${origin}`;
  return `${text} is no origin, which is a scheme, a host and at most a port; ${advice}`;
}

/** Why HTTP cannot carry a header. Never tells its value, which may be a secret. */
function headerProblem(name: string, value: string): string | undefined {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Every setting of the service. The README lists them with the same words. */
export const settings = {
  comfyUiBackends: {
    env: "COMFYUI_URL",
    help: "Address of the ComfyUI server; it may have a base path. Several, with the same models, separated by commas, each with a name in front that stays the same over restarts and on all replicas: `gpu1=http://10.0.0.1:8188,gpu2=http://10.0.0.2:8188`",
    defaultText: "`http://127.0.0.1:8188` if a ComfyUI answers there, else the built-in engine is started",
    schema: backends(),
  },
  comfyUiHeaders: {
    env: "COMFYUI_HEADERS",
    help: "Headers to send to ComfyUI, as a JSON object of texts, for a proxy in front of it",
    defaultText: "none",
    schema: headers(),
  },
  comfyUiUser: {
    env: "COMFYUI_USER",
    help: "User name for basic authentication at ComfyUI; goes with `COMFYUI_PASSWORD`",
    defaultText: "none",
    schema: optionalText(),
  },
  comfyUiPassword: {
    env: "COMFYUI_PASSWORD",
    help: "Password for basic authentication at ComfyUI",
    defaultText: "none",
    schema: optionalText(),
  },
  comfyUiToken: {
    env: "COMFYUI_TOKEN",
    help: "Bearer token for ComfyUI, in place of user name and password",
    defaultText: "none",
    schema: bearerToken(),
  },
  comfyUiCaFile: {
    env: "COMFYUI_CA_FILE",
    help: "PEM file of the certificate authority to trust for an https ComfyUI",
    defaultText: "those of the system",
    schema: optionalText(),
  },
  comfyUiMaxInFlight: {
    env: "COMFYUI_MAX_IN_FLIGHT",
    help: "Prompts to have at ComfyUI at once, 1 to 16: one runs, the others are ready to follow",
    defaultText: "2",
    schema: integer(1, 16, 2),
  },
  comfyUiStallSeconds: {
    env: "COMFYUI_STALL_SECONDS",
    help: "Longest silence of a sampler between two steps before its prompt counts as stalled, 1 to 86400 s; loading a model may take five times as long",
    defaultText: "120",
    schema: integer(1, 86_400, 120),
  },
  comfyUiLostSeconds: {
    env: "COMFYUI_LOST_SECONDS",
    help: "How long ComfyUI may be out of reach before its jobs go back into the queue, and calls that wait for a queued job fail, 1 to 86400 s",
    defaultText: "30",
    schema: integer(1, 86_400, 30),
  },
  host: {
    env: "COMFYRPC_HOST",
    help: "Address to listen on; one that is not a loopback address needs `COMFYRPC_INSECURE`",
    defaultText: "`127.0.0.1`",
    schema: text("127.0.0.1"),
  },
  port: {
    env: "COMFYRPC_PORT",
    help: "Port to listen on, 0 to 65535; 0 takes a free one",
    defaultText: "8080",
    schema: integer(0, 65_535, 8080),
  },
  insecure: {
    env: "COMFYRPC_INSECURE",
    help: "Whether to serve everybody who can reach an address that is not a loopback address",
    defaultText: "false",
    schema: flag(),
  },
  tlsCertFile: {
    env: "COMFYRPC_TLS_CERT_FILE",
    help: "PEM file of the certificate to serve TLS with; goes with `COMFYRPC_TLS_KEY_FILE`",
    defaultText: "plaintext",
    schema: optionalText(),
  },
  tlsKeyFile: {
    env: "COMFYRPC_TLS_KEY_FILE",
    help: "PEM file of the private key of that certificate",
    defaultText: "plaintext",
    schema: optionalText(),
  },
  corsOrigins: {
    env: "COMFYRPC_CORS_ORIGINS",
    help: "Origins whose web pages may call the service, separated by commas, such as `https://app.example.com`; `*` is any",
    defaultText: "none",
    schema: origins(),
  },
  defaultModel: {
    env: "COMFYRPC_DEFAULT_MODEL",
    help: "Checkpoint for requests that name none",
    defaultText: "the first that the backend lists",
    schema: text(""),
  },
  maxPixels: {
    env: "COMFYRPC_MAX_PIXELS",
    help: "Largest picture, width times height, 4096 to 4194304 pixels",
    defaultText: "4194304",
    schema: integer(4096, 4_194_304, 4_194_304),
  },
  maxUpscaledPixels: {
    env: "COMFYRPC_MAX_UPSCALED_PIXELS",
    help: "Largest picture that one may be enlarged to, width times height, 4096 to 134217728 pixels",
    defaultText: "33554432",
    schema: integer(4096, 134_217_728, 33_554_432),
  },
  maxSteps: {
    env: "COMFYRPC_MAX_STEPS",
    help: "Most sampling steps, 1 to 150",
    defaultText: "150",
    schema: integer(1, 150, 150),
  },
  maxImages: {
    env: "COMFYRPC_MAX_IMAGES",
    help: "Most images of one request, 1 to 10",
    defaultText: "10",
    schema: integer(1, 10, 10),
  },
  maxRequestBytes: {
    env: "COMFYRPC_MAX_REQUEST_BYTES",
    help: "Largest request message, 1024 to 1073741824 bytes",
    defaultText: "33554432 (32 MiB)",
    schema: integer(1024, 1_073_741_824, 33_554_432),
  },
  maxHeaderBytes: {
    env: "COMFYRPC_MAX_HEADER_BYTES",
    help: "Largest header of a request, 1024 to 1048576 bytes",
    defaultText: "16384 (16 KiB)",
    schema: integer(1024, 1_048_576, 16_384),
  },
  maxStreamsPerConnection: {
    env: "COMFYRPC_MAX_STREAMS_PER_CONNECTION",
    help: "Calls that one HTTP/2 connection may carry at once, 1 to 100000; a proxy may send those of all its callers over one",
    defaultText: "256",
    schema: integer(1, 100_000, 256),
  },
  stalledStreamSeconds: {
    env: "COMFYRPC_STALLED_STREAM_SECONDS",
    help: "How long a caller may take nothing of an answer that waits for it before its call is ended, 1 to 86400 s",
    defaultText: "120",
    schema: integer(1, 86_400, 120),
  },
  pingSeconds: {
    env: "COMFYRPC_PING_SECONDS",
    help: "Time between two pings that find out whether an HTTP/2 connection still lives, 1 to 86400 s",
    defaultText: "30",
    schema: integer(1, 86_400, 30),
  },
  maxConnectionAgeSeconds: {
    env: "COMFYRPC_MAX_CONNECTION_AGE_SECONDS",
    help: "Age, give or take a tenth, at which an HTTP/2 connection takes no new calls, so that clients connect anew, 1 to 604800 s",
    defaultText: "3600",
    schema: integer(1, 604_800, 3_600),
  },
  maxQueued: {
    env: "COMFYRPC_MAX_QUEUED",
    help: "Jobs that may wait, 1 to 100000; above that, new ones are refused with `QUEUE_FULL`",
    defaultText: "1000",
    schema: integer(1, 100_000, 1_000),
  },
  maxQueueSeconds: {
    env: "COMFYRPC_MAX_QUEUE_SECONDS",
    help: "Longest time that a job waits for its run to begin, 1 to 604800 s",
    defaultText: "3600",
    schema: integer(1, 604_800, 3_600),
  },
  maxRunSeconds: {
    env: "COMFYRPC_MAX_RUN_SECONDS",
    help: "Longest run of a job, 1 to 86400 s",
    defaultText: "600",
    schema: integer(1, 86_400, 600),
  },
  drainSeconds: {
    env: "COMFYRPC_DRAIN_SECONDS",
    help: "Time that calls get to end after SIGTERM, 0 to 86400 s",
    defaultText: "30",
    schema: integer(0, 86_400, 30),
  },
  logLevel: {
    env: "COMFYRPC_LOG_LEVEL",
    help: "Lowest level that is logged: `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`",
    defaultText: "`info`",
    schema: z
      .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"], {
        error: "must be trace, debug, info, warn, error, fatal or silent",
      })
      .default("info"),
  },
  logPrompts: {
    env: "COMFYRPC_LOG_PROMPTS",
    help: "Whether prompts may be written to the log",
    defaultText: "false",
    schema: flag(),
  },
  dataDirectory: {
    env: "COMFYRPC_DATA_DIR",
    help: "Directory for jobs and images; made if it is not there. With `DATABASE_URL` and a bucket only for files on their way",
    defaultText: "`comfyrpc-data`",
    schema: text("comfyrpc-data"),
  },
  templatesDirectory: {
    env: "COMFYRPC_TEMPLATES_DIR",
    help: "Directory of templates to register at start, a file `*.json` each, in place of those that come with the service; an empty one for none",
    defaultText: "text-to-image, image-to-image, inpaint, upscale, sdxl-base-refiner, flux-dev",
    schema: optionalText(),
  },
  databaseUrl: {
    env: "DATABASE_URL",
    help: "Address of the PostgreSQL database that keeps the jobs, for more than one replica: `postgres://user:password@host/database`",
    defaultText: "jobs are kept by SQLite in the data directory",
    schema: postgresUrl(),
  },
  s3Bucket: {
    env: "COMFYRPC_S3_BUCKET",
    help: "Bucket of an S3-compatible store that keeps the images, for more than one replica",
    defaultText: "images are kept in the data directory",
    schema: optionalText(),
  },
  s3Endpoint: {
    env: "COMFYRPC_S3_ENDPOINT",
    help: "Address of that store",
    defaultText: "that of AWS",
    schema: httpUrl(),
  },
  s3Region: {
    env: "COMFYRPC_S3_REGION",
    help: "Region of the bucket",
    defaultText: "`us-east-1`",
    schema: text("us-east-1"),
  },
  s3AccessKeyId: {
    env: "COMFYRPC_S3_ACCESS_KEY_ID",
    help: "Access key for the bucket; goes with `COMFYRPC_S3_SECRET_ACCESS_KEY`",
    defaultText: "what the AWS SDK finds: its variables, files and roles",
    schema: optionalText(),
  },
  s3SecretAccessKey: {
    env: "COMFYRPC_S3_SECRET_ACCESS_KEY",
    help: "Secret of that access key",
    defaultText: "as for the access key",
    schema: optionalText(),
  },
  s3PathStyle: {
    env: "COMFYRPC_S3_PATH_STYLE",
    help: "Whether the bucket is named in the path of addresses and not in the host, as most stores other than AWS want it",
    defaultText: "false",
    schema: flag(),
  },
  s3KeyPrefix: {
    env: "COMFYRPC_S3_KEY_PREFIX",
    help: "What the names of all objects in the bucket begin with",
    defaultText: "empty",
    schema: text(""),
  },
  s3PublicEndpoint: {
    env: "COMFYRPC_S3_PUBLIC_ENDPOINT",
    help: "Address under which callers reach that store, for links to the bucket itself",
    defaultText: "as `COMFYRPC_S3_ENDPOINT`",
    schema: httpUrl(),
  },
  s3DirectLinks: {
    env: "COMFYRPC_S3_DIRECT_LINKS",
    help: "Whether `SignAssetUrl` gives links to the bucket itself, which callers then must be able to reach",
    defaultText: "false",
    schema: flag(),
  },
  leaseSeconds: {
    env: "COMFYRPC_LEASE_SECONDS",
    help: "How long a backend stays with a replica that does not answer, before another one goes on with its jobs, 1 to 3600 s",
    defaultText: "15",
    schema: integer(1, 3_600, 15),
  },
  retentionSeconds: {
    env: "COMFYRPC_RETENTION_SECONDS",
    help: "How long jobs and their images, and uploads, are kept if the caller does not say, 60 to 2592000 s; at most `COMFYRPC_MAX_RETENTION_SECONDS`",
    defaultText: "86400 (24 hours)",
    schema: integer(60, 2_592_000, 86_400),
  },
  maxRetentionSeconds: {
    env: "COMFYRPC_MAX_RETENTION_SECONDS",
    help: "The longest that a caller may ask for, 60 to 2592000 s",
    defaultText: "2592000 (30 days)",
    schema: integer(60, 2_592_000, 2_592_000),
  },
  reconnectSeconds: {
    env: "COMFYRPC_RECONNECT_SECONDS",
    help: "How long the job of a call with a `request_id` goes on when the caller has gone, so that it can come back, 0 to 3600 s",
    defaultText: "10",
    schema: integer(0, 3_600, 10),
  },
  maxBatch: {
    env: "COMFYRPC_MAX_BATCH",
    help: "Most jobs of one batch, 1 to 100",
    defaultText: "10",
    schema: integer(1, 100, 10),
  },
  allowedNodes: {
    env: "COMFYRPC_ALLOWED_NODES",
    help: "Node classes that workflows of callers may use, with commas between; `*` stands for any characters",
    defaultText: "all that are not denied",
    schema: list(),
  },
  deniedNodes: {
    env: "COMFYRPC_DENIED_NODES",
    help: "Node classes that they may not use, whatever is allowed; `none` denies none",
    defaultText: `\`${deniedByDefault.join(",")}\``,
    schema: list().transform((names) =>
      names.length === 0 ? [...deniedByDefault] : names.filter((name) => name !== "none"),
    ),
  },
  allowNodePaths: {
    env: "COMFYRPC_ALLOW_NODE_PATHS",
    help: "Whether workflows of callers may name files of the backend by absolute paths and by paths that lead out of its directories, and addresses for it to open",
    defaultText: "false",
    schema: flag(),
  },
  maxWorkflowNodes: {
    env: "COMFYRPC_MAX_WORKFLOW_NODES",
    help: "Most nodes of a workflow of a caller, 1 to 10000",
    defaultText: "2000",
    schema: integer(1, 10_000, 2_000),
  },
  maxUploadBytes: {
    env: "COMFYRPC_MAX_UPLOAD_BYTES",
    help: "Largest file that can be uploaded, 1024 to 1073741824 bytes",
    defaultText: "20971520 (20 MiB)",
    schema: integer(1024, 1_073_741_824, 20_971_520),
  },
  maxUploadPixels: {
    env: "COMFYRPC_MAX_UPLOAD_PIXELS",
    help: "Largest image that can be uploaded, width times height times frames, 4096 to 1000000000 pixels",
    defaultText: "67108864",
    schema: integer(4_096, 1_000_000_000, 67_108_864),
  },
  aiMark: {
    env: "COMFYRPC_AI_MARK",
    help: "Whether images say, for programs, that they were made by AI: `on` unless a request says otherwise, `off` unless a request asks for it, or `required`",
    defaultText: "`on`",
    schema: z.enum(["on", "off", "required"], { error: "must be on, off or required" }).default("on"),
  },
  maxOutputBytes: {
    env: "COMFYRPC_MAX_OUTPUT_BYTES",
    help: "Largest file that is kept of what a workflow leaves, 1048576 to 1099511627776 bytes; a job that leaves a larger one fails with `OUTPUT_TOO_LARGE`",
    defaultText: "1073741824 (1 GiB)",
    schema: integer(1_048_576, 1_099_511_627_776, 1_073_741_824),
  },
  urlInputs: {
    env: "COMFYRPC_URL_INPUTS",
    help: "Whether callers may name images for their jobs by URL, which the service then fetches; from public addresses only",
    defaultText: "false",
    schema: flag(),
  },
  urlInputsAllowHttp: {
    env: "COMFYRPC_URL_INPUTS_ALLOW_HTTP",
    help: "Whether such a URL may begin with `http://` too, and not only with `https://`",
    defaultText: "false",
    schema: flag(),
  },
  urlInputsHosts: {
    env: "COMFYRPC_URL_INPUTS_HOSTS",
    help: "Hosts that such images may be fetched from, redirects included, separated by commas; `*.example.com` is every host below `example.com`",
    defaultText: "any",
    schema: hostPatterns(),
  },
  urlInputsTimeoutSeconds: {
    env: "COMFYRPC_URL_INPUTS_TIMEOUT_SECONDS",
    help: "Longest time to fetch such an image, 1 to 600 s",
    defaultText: "30",
    schema: integer(1, 600, 30),
  },
  urlInputsMaxRedirects: {
    env: "COMFYRPC_URL_INPUTS_MAX_REDIRECTS",
    help: "Most redirects to follow for it, 0 to 20",
    defaultText: "3",
    schema: integer(0, 20, 3),
  },
  publicUrl: {
    env: "COMFYRPC_PUBLIC_URL",
    help: "Address under which callers reach this service, for links to images",
    defaultText: "links begin with `/assets/`",
    schema: httpUrl(),
  },
  signedLinksOnly: {
    env: "COMFYRPC_SIGNED_LINKS_ONLY",
    help: "Whether `GET /assets/…` needs a link of `SignAssetUrl`",
    defaultText: "false",
    schema: flag(),
  },
  engineStepMs: {
    env: "COMFYRPC_ENGINE_STEP_MS",
    help: "Time that the built-in engine takes for a sampling step, 0 to 60000 ms",
    defaultText: "120",
    schema: integer(0, 60_000, 120),
  },
} satisfies Record<string, Setting<unknown>>;
