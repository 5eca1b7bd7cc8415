import { type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { ParameterType, type TemplateParameter } from "../../../gen/comfyrpc/v1/template_pb.js";
import { readImageArgument } from "../image-argument.ts";
import { UsageError } from "../usage-error.ts";

/** What a command line gives: values by name, and images by name. */
export interface GivenParameters {
  readonly param: readonly (readonly [name: string, value: string])[];
  readonly image: readonly (readonly [name: string, image: string])[];
}

/**
 * The parameters of a run, each value in the form of its type. Names that the template does not have are left to the
 * service, which knows the nearest.
 *
 * @throws UsageError for a value that cannot be of its type, or an image that cannot be read
 */
export async function toParameters(
  { param, image }: GivenParameters,
  parameters: readonly TemplateParameter[],
): Promise<JsonObject> {
  const types = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const values = param.map(([name, text]): [string, JsonValue] => [
    name,
    readParameter(name, text, types.get(name)),
  ]);
  const images: [string, JsonValue][] = [];
  for (const [name, text] of image) {
    const { source } = await readImageArgument(text);
    images.push([name, imageJson(source)]);
  }
  return Object.fromEntries([...values, ...images]);
}

function readParameter(name: string, text: string, parameter: TemplateParameter | undefined): JsonValue {
  switch (parameter?.type) {
    case ParameterType.NUMBER: {
      const number = Number(text);
      if (text.trim() === "" || !Number.isFinite(number)) {
        throw new UsageError(`--param ${name}: takes a number, such as 7.5`);
      }
      return number;
    }
    case ParameterType.BOOLEAN:
      if (text !== "true" && text !== "false") throw new UsageError(`--param ${name}: takes true or false`);
      return text === "true";
    case ParameterType.CHOICE: {
      const choices = parameter.choices.map((choice) => toJson(ValueSchema, choice));
      return choices.find((choice) => String(choice) === text) ?? text;
    }
    case ParameterType.IMAGE:
      throw new UsageError(`--param ${name}: is an image; write --image ${name}=FILE`);
    default:
      return text; // the service reads the digits of integers, and keeps all of them
  }
}

function imageJson(source: Awaited<ReturnType<typeof readImageArgument>>["source"]): JsonValue {
  switch (source?.case) {
    case "data":
      return { data: Buffer.from(source.value).toString("base64") };
    case "url":
      return { url: source.value };
    default:
      return { asset_id: source?.value ?? "" };
  }
}
