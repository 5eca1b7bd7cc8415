import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import {
  ServerReflection,
  type ServerReflectionResponse,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import {
  ServerReflection as ServerReflectionAlpha,
  type ServerReflectionResponse as ServerReflectionResponseAlpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { startRpcServer } from "../../test/support/start-rpc-server.ts";
import { createReflection } from "./reflection.ts";

const services = [
  "comfyrpc.v1.ImageService",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionAlpha],
] as const)("reflection %s", (_, service) => {
  /** Asks the questions on one stream, one after the other. */
  async function ask(baseUrl: string, ...questions: Question[]) {
    const client = createClient(service, createGrpcTransport({ baseUrl }));
    const requests = questions.map((messageRequest) => ({ host: "h", messageRequest }));
    const answers = await Array.fromAsync(client.serverReflectionInfo(toAsync(requests)));
    for (const answer of answers) expect(answer.validHost).toBe("h");
    expect(answers.map((answer) => answer.originalRequest?.messageRequest.case)).toEqual(
      questions.map((question) => question.case),
    );
    return answers.map((answer) => answer.messageResponse);
  }

  it("lists the services that are served", async () => {
    await using server = await startRpcServer();
    const [answer] = await ask(server.url, { case: "listServices", value: "*" });
    expect(answer?.case === "listServicesResponse" && answer.value.service.map(({ name }) => name)).toEqual(
      services,
    );
  });

  it("gives a file with everything it imports, in full and with its comments", async () => {
    await using server = await startRpcServer();
    const [answer] = await ask(server.url, {
      case: "fileByFilename",
      value: "comfyrpc/v1/image_service.proto",
    });
    const files = filesOf(answer);
    const names = files.map((file) => file.name);
    expect(names[0]).toBe("comfyrpc/v1/image_service.proto");
    expect(names).toContain("google/protobuf/duration.proto");
    expect(new Set(names).size).toBe(names.length);
    for (const file of files) expect(names).toEqual(expect.arrayContaining(file.dependency));
    const comments = files[0]?.sourceCodeInfo?.location.map((location) => location.leadingComments);
    expect(comments).toContainEqual(expect.stringContaining("Draws images with ComfyUI."));
  });

  it.each([
    ["a service", "comfyrpc.v1.ImageService", "comfyrpc/v1/image_service.proto"],
    ["a method", "comfyrpc.v1.ImageService.Generate", "comfyrpc/v1/image_service.proto"],
    ["a message", "comfyrpc.v1.Image", "comfyrpc/v1/image.proto"],
    ["a field", "comfyrpc.v1.Image.seed", "comfyrpc/v1/image.proto"],
    ["a oneof", "comfyrpc.v1.JobEvent.event", "comfyrpc/v1/job_event.proto"],
    ["an enum", "comfyrpc.v1.ErrorReason", "comfyrpc/v1/error.proto"],
    ["a value of an enum", "comfyrpc.v1.ERROR_REASON_NO_BACKEND", "comfyrpc/v1/error.proto"],
    ["a nested enum", "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"],
    ["a value of a nested enum", "grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"],
    ["a nested message", "google.rpc.BadRequest.FieldViolation", "google/rpc/error_details.proto"],
    ["an extension", "buf.validate.field", "buf/validate/validate.proto"],
  ])("finds the file of %s", async (_kind, symbol, file) => {
    await using server = await startRpcServer();
    const [answer] = await ask(server.url, { case: "fileContainingSymbol", value: symbol });
    expect(filesOf(answer)[0]?.name).toBe(file);
  });

  it("finds extensions by the message they extend", async () => {
    await using server = await startRpcServer();
    const containingType = "google.protobuf.FieldOptions";
    const [file, numbers] = await ask(
      server.url,
      { case: "fileContainingExtension", value: { containingType, extensionNumber: 1159 } },
      { case: "allExtensionNumbersOfType", value: containingType },
    );
    expect(filesOf(file)[0]?.name).toBe("buf/validate/validate.proto");
    expect(numbers?.value).toMatchObject({ baseTypeName: containingType, extensionNumber: [1159, 1160] });
  });

  it("knows that a message has no extensions", async () => {
    await using server = await startRpcServer();
    const [answer] = await ask(server.url, { case: "allExtensionNumbersOfType", value: "comfyrpc.v1.Image" });
    expect(answer?.value).toMatchObject({ extensionNumber: [] });
  });

  it("answers what it does not know with an error, and goes on", async () => {
    await using server = await startRpcServer();
    const answers = await ask(
      server.url,
      { case: "fileByFilename", value: "no.proto" },
      { case: "fileContainingSymbol", value: "a.B" },
      { case: "fileContainingExtension", value: { containingType: "comfyrpc.v1.Image", extensionNumber: 7 } },
      { case: "allExtensionNumbersOfType", value: "a.B" },
      { case: undefined },
      { case: "listServices", value: "" },
    );
    expect(answers.map((answer) => answer.case === "errorResponse" && answer.value.errorCode)).toEqual([
      5,
      5,
      5,
      5,
      3,
      false,
    ]);
  });

  it("sends a file that is only imported once in a stream", async () => {
    await using server = await startRpcServer();
    const [first, second, again] = await ask(
      server.url,
      { case: "fileByFilename", value: "comfyrpc/v1/job_event.proto" },
      { case: "fileByFilename", value: "comfyrpc/v1/image_service.proto" },
      { case: "fileByFilename", value: "comfyrpc/v1/job_event.proto" },
    );
    expect(filesOf(first).length).toBeGreaterThan(3);
    expect(filesOf(second).map((file) => file.name)).not.toContain("comfyrpc/v1/image.proto");
    expect(filesOf(again).map((file) => file.name)).toEqual(["comfyrpc/v1/job_event.proto"]);
  });

  it("ends its streams when the server drains", async () => {
    await using server = await startRpcServer();
    const client = createClient(service, createGrpcTransport({ baseUrl: server.url }));
    const stop = Promise.withResolvers<void>();
    async function* oneRequestAndThenSilence() {
      yield { messageRequest: { case: "listServices" as const, value: "" } };
      await stop.promise;
    }
    let answers = 0;
    let drained: Promise<void> | undefined;
    for await (const _ of client.serverReflectionInfo(oneRequestAndThenSilence())) {
      answers++;
      server.draining.abort();
      drained = server.listener.drain(60_000, AbortSignal.timeout(15_000));
    }
    stop.resolve();
    expect(answers).toBe(1);
    await drained;
    expect(server.shutdown.signal.aborted).toBe(false);
  });
});

describe("buf curl", () => {
  it.each(["grpc-v1", "grpc-v1alpha"])("lists services and methods by %s", async (version) => {
    await using server = await startRpcServer();
    const options = ["--http2-prior-knowledge", `--reflect-protocol=${version}`];
    expect((await bufCurl(...options, "--list-services", server.url)).trim().split("\n").sort()).toEqual(
      services,
    );
    expect(await bufCurl(...options, "--list-methods", server.url)).toContain(
      "comfyrpc.v1.ImageService/Generate\n",
    );
  });

  it.each(["grpc", "grpcweb", "connect"])(
    "calls a method by %s that it knows only from reflection",
    async (protocol) => {
      await using server = await startRpcServer();
      const url = `${server.url}/grpc.health.v1.Health/Check`;
      const answer = await bufCurl("--http2-prior-knowledge", `--protocol=${protocol}`, "--data={}", url);
      expect(JSON.parse(answer)).toEqual({ status: "SERVING" });
    },
  );
});

describe("a schema that cannot be served", () => {
  it("is refused when it is no descriptor set", () => {
    expect(() => createReflection(Buffer.from("nonsense"), new AbortController().signal)).toThrow();
  });

  it("is refused when an imported file is missing", () => {
    const file = [{ name: "a.proto", dependency: ["b.proto"] }];
    const bytes = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file }));
    expect(() => createReflection(bytes, new AbortController().signal)).toThrow(
      "the descriptor set lacks b.proto, which a.proto imports",
    );
  });
});

type Question =
  | {
      case: "fileByFilename" | "fileContainingSymbol" | "allExtensionNumbersOfType" | "listServices";
      value: string;
    }
  | { case: "fileContainingExtension"; value: { containingType: string; extensionNumber: number } }
  | { case: undefined };

type Answer = (ServerReflectionResponse | ServerReflectionResponseAlpha)["messageResponse"];

function filesOf(answer: Answer | undefined): FileDescriptorProto[] {
  if (answer?.case !== "fileDescriptorResponse") throw new Error(`no files but ${answer?.case}`);
  return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

async function* toAsync<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function bufCurl(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("node_modules/.bin/buf", ["curl", ...args], {
    timeout: 10_000,
  });
  return stdout;
}
