import { create, equals, toJsonString } from "@bufbuild/protobuf";
import { parsePath } from "@bufbuild/protobuf/reflect";
import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import {
  GenerationSpecSchema,
  type GenerationSpec as SpecMessage,
} from "../../gen/comfyrpc/v1/generation_pb.js";
import { GenerateRequestSchema } from "../../gen/comfyrpc/v1/image_service_pb.js";
import { type ErrorReason, ServiceError } from "../../src/domain/errors.ts";
import type { GenerationSpec } from "../../src/domain/generation.ts";
import { hashGraph } from "../../src/domain/graph-hash.ts";
import type { TemplateContent } from "../../src/domain/template/workflow-template.ts";
import { hasErrors } from "../../src/domain/workflow/graph-problem.ts";
import { parseJson } from "../../src/engine/demo/json.ts";
import { type ResolvedSpec, SpecResolver } from "../../src/jobs/spec-resolver.ts";
import { writeJson } from "../../src/lib/lossless-json.ts";
import { fromSpecMessage, toSpecMessage } from "../../src/server/convert/spec.ts";
import { toConnectError } from "../../src/server/errors.ts";
import { invalidFields } from "../../src/server/invalid-fields.ts";
import { createMessageRules } from "../../src/server/message-rules.ts";
import type { TemplateRecord, TemplateStore } from "../../src/storage/template-store.ts";
import { importTemplates } from "../../src/templates/import-templates.ts";
import { demoAccepts, demoClasses } from "../support/demo-classes.ts";
import { ScriptedEngine } from "../support/scripted-engine.ts";
import { never, openWorkflows } from "../support/start-jobs.ts";
import { demoCatalog, fuzzInputImages } from "./fuzz-inputs.ts";
import { mutateSpec } from "./mutate-spec.ts";
import { RandomSpecs } from "./random-spec.ts";
import { Tape } from "./tape.ts";

/** What happened to a spec: the reason for which it was refused, or the kind of the job that it became. */
export type SpecOutcome = ErrorReason | ResolvedSpec["generation"]["task"]["type"];

const templates = await shippedTemplates();

const specs = new RandomSpecs(templates);

/** Specs of every kind that are good for the built-in engine, or were until they were changed in one or two places. */
export const specMessages: fc.Arbitrary<SpecMessage> = fc
  .tuple(fc.uint8Array({ maxLength: 160 }), fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 2 }))
  .map(([bytes, mutations]) => {
    const spec = specs.next(new Tape(bytes));
    for (const mutation of mutations) {
      mutateSpec(spec, new Tape(mutation));
    }
    return Object.assign(spec, { [fc.toStringMethod]: () => toJsonString(GenerationSpecSchema, spec) });
  });

const rules = createMessageRules();

const jobId = "00000000-0000-4000-8000-000000000000";

/** As a service with a built-in engine resolves them. */
const resolver = new SpecResolver(
  {
    limits: { maxPixels: 4_194_304, maxUpscaledPixels: 33_554_432, maxSteps: 150, maxImageCount: 10 },
    defaultModel: "",
    aiMark: "on",
    catalogMaxAgeMs: 60_000,
    ...openWorkflows,
  },
  {
    engines: [demoEngine()],
    inputImages: fuzzInputImages,
    templates: { get: async (_tenant, name, revision) => findTemplate(name, revision) },
    randomSeed: () => 2n ** 53n - 1n,
  },
);

/**
 * Holds what the service does with a spec to its laws. It is refused for a reason that callers know, in words about a
 * field that there is; or it becomes a graph that the built-in engine would run, and then the resolved spec is a good
 * one that becomes the same graph. A dry run says the same beforehand.
 *
 * @throws Error if one is broken
 */
export async function assertSpecLaws(message: SpecMessage): Promise<SpecOutcome> {
  const spec = await outcomeOf(async () => read(message));
  if (spec instanceof ServiceError) {
    assertHelpful(spec);
    return spec.reason;
  }
  const foreseen = await resolver.examine(spec, jobId, "", never);
  const first = await outcomeOf(() => resolver.resolve(spec, jobId, "", never));
  if (first instanceof ServiceError) {
    assertHelpful(first);
    if (foreseen.error?.reason !== first.reason || foreseen.error.message !== first.message) {
      throw new Error(`a dry run says ${foreseen.error?.message}, and the service ${first.message}`);
    }
    return first.reason;
  }
  const { generation, plan } = first;
  if (!demoAccepts(parseJson(writeJson(plan.graph)))) {
    throw new Error(`the engine would refuse the graph ${writeJson(plan.graph)}`);
  }
  const doubts = foreseen.backends.flatMap(({ value }) => value.problems);
  if (foreseen.resolved?.reuseKey !== first.reuseKey || hasErrors(doubts)) {
    throw new Error(`a dry run finds fault: ${foreseen.error?.message} ${JSON.stringify(doubts)}`);
  }
  const resolved = toSpecMessage(generation);
  const again = await resolver.resolve(read(resolved), jobId, "", never);
  if (hashGraph(again.plan.graph) !== hashGraph(plan.graph) || again.reuseKey !== first.reuseKey) {
    throw new Error(`the resolved spec becomes another graph: ${writeJson(again.plan.graph)}`);
  }
  if (!equals(GenerationSpecSchema, toSpecMessage(again.generation), resolved)) {
    throw new Error("the resolved spec is not resolved");
  }
  return generation.task.type;
}

/** Reads a spec as the service does, by the rules of the schema first. */
function read(spec: SpecMessage): GenerationSpec {
  const violations = rules.violations(GenerateRequestSchema, create(GenerateRequestSchema, { spec }));
  if (violations.length > 0) {
    throw invalidFields(violations);
  }
  return fromSpecMessage(spec);
}

/** What `work` returns, or how it fails, if in a way that is meant. */
async function outcomeOf<T>(work: () => Promise<T>): Promise<T | ServiceError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ServiceError) {
      return error;
    }
    throw error;
  }
}

const callersFault: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.PermissionDenied,
  Code.FailedPrecondition,
]);

/** A failure is the caller's, names fields that there are, each problem once, and says the first one in its text. */
function assertHelpful(error: ServiceError): void {
  if (!callersFault.has(toConnectError(error, "").code)) {
    throw error;
  }
  const { violations = [] } = error.details;
  for (const { field } of violations) {
    // Parameters are named as in JSON, where they are members of an object.
    parsePath(GenerateRequestSchema, field.replace(/^(spec\.template\.parameters)\[".*/s, "$1"));
  }
  const [first] = violations;
  const texts = violations.map(({ field, description }) => `${field}: ${description}`);
  if (
    first === undefined ||
    !error.message.startsWith(`${first.field}: `) ||
    new Set(texts).size < texts.length
  ) {
    throw new Error(`the failure does not help: ${error.message} (${texts.join("; ")})`);
  }
}

function demoEngine(): ScriptedEngine {
  const engine = new ScriptedEngine();
  engine.has = demoCatalog;
  engine.classes = demoClasses;
  return engine;
}

/** The templates that come along, each in its first version. */
async function shippedTemplates(): Promise<readonly TemplateRecord[]> {
  const register = async (_tenant: string, content: TemplateContent) => {
    const template = { ...content, version: 1, sha256: "", createTime: new Date(0), aliases: ["production"] };
    return { template, isNew: true };
  };
  const directory = new URL("../../templates", import.meta.url).pathname;
  return await importTemplates(directory, "", { register }, openWorkflows.workflowLimits, never);
}

function findTemplate(
  name: string,
  revision: Parameters<TemplateStore["get"]>[2],
): TemplateRecord | undefined {
  const found = templates.find((template) => template.name === name);
  switch (revision.type) {
    case "newest":
      return found;
    case "version":
      return revision.version === found?.version ? found : undefined;
    case "alias":
      return found?.aliases.includes(revision.alias) ? found : undefined;
  }
}
