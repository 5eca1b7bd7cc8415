import { execFileSync } from "node:child_process";
import { buffer } from "node:stream/consumers";
import { z } from "zod";
import { envelope, envelopesIn } from "../envelopes.ts";
import { startClient } from "./client-process.ts";
import { CallError, type CallOptions, type ImageClient, imageService, type Json } from "./image-client.ts";

/** Whether there is a curl to test with. */
export const isCurlInstalled = canRun("curl");

/**
 * curl and JSON over HTTP/1.1, one process a call; `Health` by GET. A stream needs five bytes of framing, which curl
 * does not know and a script can add.
 */
export async function openCurl(url: string): Promise<ImageClient> {
  return {
    async generate(spec, options, signal) {
      const args = [
        ...["--header", "content-type: application/json", "--data-binary", "@-"],
        ...[...timeoutHeader(options), `${url}/${imageService}/Generate`],
      ];
      return answerOf(await run(args, JSON.stringify({ spec }), signal));
    },
    async *generateWithProgress(spec: Json, options: CallOptions, signal: AbortSignal) {
      const args = [
        ...["--no-buffer", "--header", "content-type: application/connect+json", "--data-binary", "@-"],
        ...[...timeoutHeader(options), `${url}/${imageService}/GenerateWithProgress`],
      ];
      const request = envelope(Buffer.from(JSON.stringify({ spec })));
      const { stdout, ended } = startClient("curl", [...commonArgs, ...args], request, signal);
      for await (const { flags, data } of envelopesIn(stdout)) {
        const message: unknown = JSON.parse(data.toString("utf8"));
        if ((flags & endOfStream) === 0) yield message;
        else throwIfFailed(message);
      }
      throwIfKilled(await ended);
    },
    async health(signal) {
      const query = new URLSearchParams({ encoding: "json", message: "{}", connect: "v1" });
      return answerOf(await run([`${url}/${imageService}/Health?${query}`], "", signal));
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

const commonArgs = ["--silent", "--show-error", "--http1.1", "--noproxy", "*"];

/** Flag of the last message of a stream, which holds the error if there is one. */
const endOfStream = 0b10;

function timeoutHeader({ timeoutMs }: CallOptions): string[] {
  return timeoutMs === undefined ? [] : ["--header", `connect-timeout-ms: ${timeoutMs}`];
}

async function run(args: readonly string[], input: string, signal: AbortSignal): Promise<Buffer> {
  const { stdout, ended } = startClient("curl", [...commonArgs, ...args], input, signal);
  const [answer, end] = await Promise.all([buffer(stdout), ended]);
  throwIfKilled(end);
  return answer;
}

function throwIfKilled({ exitCode, stderr }: { exitCode: number | null; stderr: string }): void {
  if (exitCode !== 0) throw new Error(`curl ended with ${exitCode ?? "a signal"}: ${stderr}`);
}

function answerOf(body: Buffer): unknown {
  const json: unknown = JSON.parse(body.toString("utf8"));
  throwIfFailed({ error: json });
  return json;
}

const failure = z.object({
  error: z.object({
    code: z.string(),
    message: z.string().default(""),
    details: z.array(z.object({ type: z.string(), debug: z.unknown() })).default([]),
  }),
});

/** @throws CallError if there is an error with a code, with its details as a person reads them */
function throwIfFailed(end: unknown): void {
  const parsed = failure.safeParse(end);
  if (!parsed.success) return;
  const { code, message, details } = parsed.data.error;
  throw new CallError(code, message, new Map(details.map(({ type, debug }) => [type, debug])));
}

function canRun(command: string): boolean {
  try {
    execFileSync(command, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false; // not there
  }
}
