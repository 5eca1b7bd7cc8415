import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { testCertificate } from "../../test/support/test-certificate.ts";
import { ConfigError, readConfig } from "./config.ts";

function problemsOf(env: Record<string, string>): string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.message.split("\n");
    }
    throw error;
  }
  return [];
}

describe("readConfig", () => {
  it("has a default for everything", () => {
    expect(readConfig({})).toMatchObject({
      comfyUiBackends: [],
      comfyUiHeaders: {},
      host: "127.0.0.1",
      port: 8080,
      insecure: false,
      corsOrigins: [],
      maxQueued: 1_000,
      logLevel: "info",
      files: { tls: undefined, comfyUiCa: undefined },
    });
  });

  it("takes an empty variable for one that is not set", () => {
    expect(readConfig({ COMFYRPC_PORT: "", COMFYUI_URL: "" })).toMatchObject({
      port: 8080,
      comfyUiBackends: [],
    });
  });

  it("reads lists, headers and flags", () => {
    const config = readConfig({
      COMFYRPC_CORS_ORIGINS: "https://a.example, https://b.example,",
      COMFYUI_HEADERS: '{"x-key":"1"}',
      COMFYRPC_LOG_PROMPTS: "true",
    });
    expect(config.corsOrigins).toEqual(["https://a.example", "https://b.example"]);
    expect(config.comfyUiHeaders).toEqual({ "x-key": "1" });
    expect(config.logPrompts).toBe(true);
  });

  it("reads hosts as URLs spell them, and nothing else", () => {
    const { urlInputsHosts } = readConfig({
      COMFYRPC_URL_INPUTS_HOSTS: "Images.EXAMPLE.com,*.cdn.example,пример.example",
    });
    expect(urlInputsHosts).toEqual(["images.example.com", "*.cdn.example", "xn--e1afmkfd.example"]);
    for (const host of [
      "https://a.example",
      "a.example/x",
      "*",
      "a.*.example",
      "a.example:443",
      "me@a.example",
    ]) {
      expect(problemsOf({ COMFYRPC_URL_INPUTS_HOSTS: host })).toEqual([
        expect.stringMatching(/^COMFYRPC_URL_INPUTS_HOSTS: .* is no host; write a name/),
      ]);
    }
  });

  it("names every problem at once, by its variable", () => {
    const problems = problemsOf({
      COMFYUI_URL: "ftp://x",
      COMFYUI_HEADERS: "[1]",
      COMFYRPC_PORT: "65536",
      COMFYRPC_MAX_STEPS: "many",
      COMFYRPC_LOG_LEVEL: "loud",
      COMFYRPC_INSECURE: "perhaps",
    });
    for (const name of [
      "COMFYUI_URL",
      "COMFYUI_HEADERS",
      "COMFYRPC_PORT",
      "COMFYRPC_MAX_STEPS",
      "COMFYRPC_LOG_LEVEL",
      "COMFYRPC_INSECURE",
    ]) {
      expect(problems).toContainEqual(expect.stringMatching(`^${name}: `));
    }
  });

  it.each(["0.0.0.0", "::", "192.0.2.1", "example.com"])(
    "refuses to listen on %s without being told that it is meant",
    (host) => {
      expect(problemsOf({ COMFYRPC_HOST: host })).toEqual([expect.stringContaining("--insecure")]);
      expect(problemsOf({ COMFYRPC_HOST: host, COMFYRPC_INSECURE: "true" })).toEqual([]);
    },
  );

  it.each(["127.0.0.1", "127.8.8.8", "::1", "localhost"])("listens on %s without more ado", (host) => {
    expect(problemsOf({ COMFYRPC_HOST: host })).toEqual([]);
  });

  it("refuses one half of a pair, and two ways to authenticate", () => {
    expect(problemsOf({ COMFYUI_USER: "me" })).toEqual([expect.stringContaining("COMFYUI_PASSWORD")]);
    expect(problemsOf({ COMFYRPC_TLS_KEY_FILE: "x" })).toEqual([
      expect.stringContaining("COMFYRPC_TLS_CERT_FILE"),
    ]);
    expect(problemsOf({ COMFYUI_USER: "me", COMFYUI_PASSWORD: "p", COMFYUI_TOKEN: "t" })).toHaveLength(1);
  });

  it("reads the files that it names, and says which cannot be read", async () => {
    const directory = await mkdtemp(join(tmpdir(), "comfyrpc-config-"));
    try {
      const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
      await writeFile(cert, testCertificate.certificate);
      const env = { COMFYRPC_TLS_CERT_FILE: cert, COMFYRPC_TLS_KEY_FILE: key };
      expect(problemsOf(env)).toEqual([expect.stringContaining("COMFYRPC_TLS_KEY_FILE: ENOENT")]);
      await writeFile(key, testCertificate.privateKey);
      expect(readConfig(env).files.tls).toEqual({
        cert: testCertificate.certificate,
        key: testCertificate.privateKey,
      });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("refuses files that hold no certificate or key, and a key that is not the certificate's", async () => {
    const directory = await mkdtemp(join(tmpdir(), "comfyrpc-config-"));
    try {
      const [cert, key, ca] = [join(directory, "cert"), join(directory, "key"), join(directory, "ca")];
      const env = { COMFYRPC_TLS_CERT_FILE: cert, COMFYRPC_TLS_KEY_FILE: key, COMFYUI_CA_FILE: ca };
      for (const file of [cert, key, ca]) await writeFile(file, "no PEM");
      expect(problemsOf(env)).toEqual([
        expect.stringMatching(/^COMFYUI_CA_FILE: holds no PEM certificate/),
        expect.stringMatching(/^COMFYRPC_TLS_CERT_FILE: holds no PEM certificate/),
        expect.stringMatching(/^COMFYRPC_TLS_KEY_FILE: holds no PEM private key/),
      ]);
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      await writeFile(ca, testCertificate.certificate);
      await writeFile(cert, testCertificate.certificate);
      await writeFile(key, privateKey.export({ type: "pkcs8", format: "pem" }));
      expect(problemsOf(env)).toEqual([expect.stringContaining("is not the key of the certificate")]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("names backends that have no name, and refuses a name for two", () => {
    expect(readConfig({ COMFYUI_URL: "http://a" }).comfyUiBackends).toEqual([
      { name: "comfyui", url: "http://a" },
    ]);
    expect(readConfig({ COMFYUI_URL: "http://a/x=y, gpu=https://b" }).comfyUiBackends).toEqual([
      { name: "comfyui-1", url: "http://a/x=y" },
      { name: "gpu", url: "https://b" },
    ]);
    expect(problemsOf({ COMFYUI_URL: "gpu=http://a,gpu=http://b" })).toEqual([
      "COMFYUI_URL: the name gpu is given to two backends",
    ]);
  });

  it("refuses settings of stores that contradict each other", () => {
    expect(
      problemsOf({
        COMFYRPC_S3_ENDPOINT: "http://s3",
        COMFYRPC_S3_ACCESS_KEY_ID: "id",
        COMFYRPC_RETENTION_SECONDS: "120",
        COMFYRPC_MAX_RETENTION_SECONDS: "60",
      }),
    ).toEqual([
      "COMFYRPC_S3_ACCESS_KEY_ID and COMFYRPC_S3_SECRET_ACCESS_KEY go together",
      "COMFYRPC_S3_ENDPOINT needs COMFYRPC_S3_BUCKET",
      "COMFYRPC_RETENTION_SECONDS: must not be above COMFYRPC_MAX_RETENTION_SECONDS",
    ]);
    expect(problemsOf({ DATABASE_URL: "mysql://x" })).toEqual([
      "DATABASE_URL: must be a postgres:// address",
    ]);
  });

  it("refuses headers that HTTP cannot carry, without telling their values", () => {
    expect(problemsOf({ COMFYUI_HEADERS: '{"x key":"secret"}' })).toEqual([
      expect.stringMatching(/^COMFYUI_HEADERS: .*x key/),
    ]);
    const problems = [
      ...problemsOf({ COMFYUI_HEADERS: '{"x-key":"secret\\n"}' }),
      ...problemsOf({ COMFYUI_TOKEN: "sec\nret" }),
    ];
    expect(problems).toEqual([
      expect.stringMatching(/^COMFYUI_HEADERS: .*x-key/),
      expect.stringMatching(/^COMFYUI_TOKEN: /),
    ]);
    expect(problems.join()).not.toContain("secret");
  });

  it.each([
    ["https://app.example.com/", "https://app.example.com"],
    ["https://app.example.com/page?x#y", "https://app.example.com"],
    ["https://App.example.com:443", "https://app.example.com"],
    ["app.example.com", "* or an origin such as https://app.example.com"],
    ["null", "* or an origin such as https://app.example.com"],
  ])("refuses %s as an origin, and says what is right", (origin, right) => {
    expect(problemsOf({ COMFYRPC_CORS_ORIGINS: `https://ok.example,${origin}` })).toEqual([
      `COMFYRPC_CORS_ORIGINS: ${origin} is no origin, which is a scheme, a host and at most a port; write ${right}`,
    ]);
  });

  it.each(["*", "http://localhost:5173", "http://[::1]:81", "capacitor://localhost"])(
    "takes %s as an origin",
    (origin) => {
      expect(readConfig({ COMFYRPC_CORS_ORIGINS: origin }).corsOrigins).toEqual([origin]);
    },
  );

  it.each(["http://comfy.example/?token=1", "http://comfy.example/base#top"])(
    "refuses the address %s, of which a part would be lost",
    (url) => {
      expect(problemsOf({ COMFYUI_URL: url })).toEqual([expect.stringMatching(/^COMFYUI_URL: .*query/)]);
    },
  );

  it("reads the limits of connections", () => {
    expect(readConfig({ COMFYRPC_MAX_HEADER_BYTES: "65536", COMFYRPC_PING_SECONDS: "5" })).toMatchObject({
      maxHeaderBytes: 65_536,
      maxStreamsPerConnection: 256,
      stalledStreamSeconds: 120,
      pingSeconds: 5,
      maxConnectionAgeSeconds: 3_600,
    });
    expect(problemsOf({ COMFYRPC_STALLED_STREAM_SECONDS: "0" })).toHaveLength(1);
  });
});
