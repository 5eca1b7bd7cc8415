import { Code, type ConnectRouter } from "@connectrpc/connect";
import {
  ServerReflection,
  type ServerReflectionRequest,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import {
  ServerReflection as ServerReflectionAlpha,
  type ServerReflectionRequest as ServerReflectionRequestAlpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { type DescriptorFile, type DescriptorIndex, indexDescriptors } from "./descriptor-index.ts";
import type { Routes } from "./rpc-handler.ts";

/**
 * Serves `grpc.reflection.v1.ServerReflection` and its older twin `v1alpha`, so that tools know the schema without its
 * files (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md). Lists the services of the router that it is
 * registered on, those registered later included.
 *
 * @param descriptorSet a `google.protobuf.FileDescriptorSet` with every imported file; comments in it are served too
 * @param draining ends open streams when it is aborted, since tools keep theirs for as long as they run
 * @throws Error if `descriptorSet` cannot be read or lacks an imported file
 */
export function createReflection(descriptorSet: Uint8Array, draining: AbortSignal): Routes {
  const index = indexDescriptors(descriptorSet);
  return (router) => {
    const answerer = () => createAnswerer(index, () => servicesOf(router));
    router.service(ServerReflection, {
      serverReflectionInfo: (requests) => answers(until(requests, draining), answerer()),
    });
    router.service(ServerReflectionAlpha, {
      serverReflectionInfo: (requests) => answers(until(requests, draining), answerer()),
    });
  };
}

/** What both versions ask; they differ in their package name only. */
type Question = (ServerReflectionRequest | ServerReflectionRequestAlpha)["messageRequest"];

/** What both versions answer. */
type Answer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "errorResponse"; value: { errorCode: number; errorMessage: string } };

async function* answers<Request extends ServerReflectionRequest | ServerReflectionRequestAlpha>(
  requests: AsyncIterable<Request>,
  answer: (question: Question) => Answer,
) {
  for await (const request of requests) {
    yield {
      validHost: request.host,
      originalRequest: request,
      messageResponse: answer(request.messageRequest),
    };
  }
}

/** Answers the questions of one stream, and remembers which files it has sent on it. */
function createAnswerer(index: DescriptorIndex, services: () => string[]): (question: Question) => Answer {
  const sent = new Set<string>();
  const filesFrom = (file: DescriptorFile | undefined, what: string): Answer =>
    file ? filesAnswer(withImports(file, index, sent)) : notFound(what);

  return (question) => {
    switch (question.case) {
      case "fileByFilename":
        return filesFrom(index.file(question.value), `file ${question.value}`);
      case "fileContainingSymbol":
        return filesFrom(index.fileOfSymbol(question.value), `symbol ${question.value}`);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        const file = index.fileOfExtension(containingType, extensionNumber);
        return filesFrom(file, `extension ${extensionNumber} of ${containingType}`);
      }
      case "allExtensionNumbersOfType": {
        const baseTypeName = question.value;
        const extensionNumber = index.extensionNumbers(baseTypeName);
        if (!extensionNumber) return notFound(`message ${baseTypeName}`);
        return { case: "allExtensionNumbersResponse", value: { baseTypeName, extensionNumber } };
      }
      case "listServices":
        return { case: "listServicesResponse", value: { service: services().map((name) => ({ name })) } };
      default:
        return errorAnswer(Code.InvalidArgument, "the request asks nothing");
    }
  };
}

/** `file` first, then what it needs and the client has not yet got. */
function withImports(file: DescriptorFile, index: DescriptorIndex, sent: Set<string>): DescriptorFile[] {
  const files = [file];
  sent.add(file.name);
  for (const { imports } of files) {
    for (const imported of imports.map((name) => index.file(name))) {
      if (!imported || sent.has(imported.name)) continue;
      sent.add(imported.name);
      files.push(imported);
    }
  }
  return files;
}

function filesAnswer(files: readonly DescriptorFile[]): Answer {
  return {
    case: "fileDescriptorResponse",
    value: { fileDescriptorProto: files.map((file) => file.bytes) },
  };
}

function notFound(what: string): Answer {
  return errorAnswer(Code.NotFound, `${what} not found`);
}

function errorAnswer(code: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode: code, errorMessage } };
}

function servicesOf(router: ConnectRouter): string[] {
  return [...new Set(router.handlers.map((handler) => handler.service.typeName))].sort();
}

/** `items` until `signal` is aborted, also while the next one is awaited. */
async function* until<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]();
  const { promise: aborted, resolve } = Promise.withResolvers<{ done: true; value: undefined }>();
  const onAbort = () => resolve({ done: true, value: undefined });
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort);
  try {
    for (;;) {
      const item = await Promise.race([iterator.next(), aborted]);
      if (item.done) return;
      yield item.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
