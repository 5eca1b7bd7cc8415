import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { createSecureContext } from "node:tls";
import type { z } from "zod";
import { settings } from "./settings.ts";

/** The settings of the service, checked. */
export type Config = Readonly<SettingValues & { readonly files: ConfigFiles }>;

type SettingValues = { [K in keyof typeof settings]: z.output<(typeof settings)[K]["schema"]> };

/** Contents of the files that the settings name. */
export interface ConfigFiles {
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly comfyUiCa: string | undefined;
}

/** The configuration cannot be used. The text lists every problem, a line each, by environment variable. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/**
 * Reads the configuration from `env` and from the files it names, whose contents it checks.
 *
 * @throws ConfigError
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = [];
  const values = readSettings(env, problems);
  problems.push(...contradictions(values));
  const files = problems.length === 0 ? readFiles(values, problems) : undefined;
  if (files === undefined || problems.length > 0) {
    throw new ConfigError(problems.join("\n"));
  }
  return Object.freeze({ ...values, files });
}

/** Whether only programs on this machine can reach `host`. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function readSettings(env: Readonly<Record<string, string | undefined>>, problems: string[]): SettingValues {
  const read = Object.entries(settings).map(([name, setting]) => {
    const result = setting.schema.safeParse(env[setting.env] || undefined);
    if (!result.success) {
      problems.push(...result.error.issues.map(({ message }) => `${setting.env}: ${message}`));
    }
    return [name, result.data];
  });
  return Object.fromEntries(read) as SettingValues; // the keys and values are those of `settings`
}

function contradictions(values: SettingValues): string[] {
  const problems: string[] = [];
  const pair = (a: unknown, b: unknown, text: string) => {
    if ((a === undefined) !== (b === undefined)) {
      problems.push(text);
    }
  };
  pair(values.comfyUiUser, values.comfyUiPassword, "COMFYUI_USER and COMFYUI_PASSWORD go together");
  pair(values.tlsCertFile, values.tlsKeyFile, "COMFYRPC_TLS_CERT_FILE and COMFYRPC_TLS_KEY_FILE go together");
  pair(
    values.s3AccessKeyId,
    values.s3SecretAccessKey,
    "COMFYRPC_S3_ACCESS_KEY_ID and COMFYRPC_S3_SECRET_ACCESS_KEY go together",
  );
  if (values.s3Endpoint !== undefined && values.s3Bucket === undefined) {
    problems.push("COMFYRPC_S3_ENDPOINT needs COMFYRPC_S3_BUCKET");
  }
  if (values.retentionSeconds > values.maxRetentionSeconds) {
    problems.push("COMFYRPC_RETENTION_SECONDS: must not be above COMFYRPC_MAX_RETENTION_SECONDS");
  }
  if (values.comfyUiToken !== undefined && values.comfyUiUser !== undefined) {
    problems.push("COMFYUI_TOKEN and COMFYUI_USER exclude each other");
  }
  if (values.host !== undefined && !values.insecure && !isLoopback(values.host)) {
    problems.push(
      `COMFYRPC_HOST: ${values.host} can be reached by others, and there is no authentication; ` +
        "set COMFYRPC_INSECURE=true (or pass --insecure) if that is meant",
    );
  }
  return problems;
}

function readFiles(values: SettingValues, problems: string[]): ConfigFiles {
  const read = (name: keyof typeof settings, path: string): string => {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      problems.push(`${settings[name].env}: ${error instanceof Error ? error.message : String(error)}`);
      return "";
    }
  };
  const { tlsCertFile, tlsKeyFile, comfyUiCaFile } = values;
  const files = {
    tls:
      tlsCertFile === undefined || tlsKeyFile === undefined
        ? undefined
        : { cert: read("tlsCertFile", tlsCertFile), key: read("tlsKeyFile", tlsKeyFile) },
    comfyUiCa: comfyUiCaFile === undefined ? undefined : read("comfyUiCaFile", comfyUiCaFile),
  };
  if (problems.length === 0) {
    problems.push(...contentProblems(files));
  }
  return files;
}

function contentProblems({ tls, comfyUiCa }: ConfigFiles): string[] {
  const problems: string[] = [];
  const check = (text: string, use: () => unknown) => {
    try {
      use();
    } catch (error) {
      problems.push(`${text} (${error instanceof Error ? error.message : String(error)})`);
    }
  };
  if (comfyUiCa !== undefined) {
    check("COMFYUI_CA_FILE: holds no PEM certificate", () => new X509Certificate(comfyUiCa));
  }
  if (tls !== undefined) {
    check("COMFYRPC_TLS_CERT_FILE: holds no PEM certificate", () => createSecureContext({ cert: tls.cert }));
    check("COMFYRPC_TLS_KEY_FILE: holds no PEM private key, or one with a passphrase", () =>
      createSecureContext({ key: tls.key }),
    );
  }
  if (tls !== undefined && problems.length === 0) {
    check("COMFYRPC_TLS_KEY_FILE: is not the key of the certificate in COMFYRPC_TLS_CERT_FILE", () =>
      createSecureContext(tls),
    );
  }
  return problems;
}
