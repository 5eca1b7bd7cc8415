import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
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
      comfyUiUrl: undefined,
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
      comfyUiUrl: undefined,
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
      await writeFile(cert, "the certificate");
      const env = { COMFYRPC_TLS_CERT_FILE: cert, COMFYRPC_TLS_KEY_FILE: key };
      expect(problemsOf(env)).toEqual([expect.stringContaining("COMFYRPC_TLS_KEY_FILE: ENOENT")]);
      await writeFile(key, "the key");
      expect(readConfig(env).files.tls).toEqual({ cert: "the certificate", key: "the key" });
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
