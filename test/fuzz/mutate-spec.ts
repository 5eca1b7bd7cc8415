import { type DescField, type DescMessage, getOption, hasOption, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import { field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { type GenerationSpec, GenerationSpecSchema } from "../../gen/comfyrpc/v1/generation_pb.js";
import type { Tape } from "./tape.ts";

/** Changes one field of a spec, wherever it is in it, mostly for the worse. */
export function mutateSpec(spec: GenerationSpec, tape: Tape): void {
  mutate(reflect(GenerationSpecSchema, spec), tape);
}

function mutate(message: ReflectMessage, tape: Tape): void {
  // A part that is there is changed more often than that another one is put there.
  const given = message.fields.filter((field) => message.isSet(field));
  const field = tape.pick(tape.below(4) === 3 ? message.fields : given) ?? tape.pick(message.fields);
  if (field === undefined) {
    return;
  }
  switch (field.fieldKind) {
    case "scalar":
      message.set(field, oddScalar(field, field.scalar, tape));
      return;
    case "enum":
      message.set(field, tape.below(2) === 1 ? 99 : tape.below(field.enum.values.length));
      return;
    case "message": {
      if (isStruct(field.message) || tape.below(8) === 7) {
        message.clear(field);
        return;
      }
      const part = message.get(field);
      mutate(part, tape);
      message.set(field, part);
      return;
    }
    case "list":
      mutateList(message, field, tape);
      return;
    case "map":
      message.clear(field);
      return;
  }
}

function mutateList(message: ReflectMessage, field: DescField & { fieldKind: "list" }, tape: Tape): void {
  const list = message.get(field);
  const place = tape.below(Math.max(list.size, 1));
  if (field.listKind === "scalar") {
    const value = oddScalar(field, field.scalar, tape);
    list.size === 0 ? list.add(value) : list.set(place, value);
    return;
  }
  const item = list.get(place);
  if (field.listKind === "message" && item !== undefined) {
    const copies = tape.below(8) === 7 ? 20 : 0;
    for (let i = 0; i < copies; i++) {
      list.add(item);
    }
    mutate(item as ReflectMessage, tape);
  } else if (field.listKind === "message") {
    list.add(reflect(field.message));
  }
}

function oddScalar(field: DescField, type: ScalarType, tape: Tape): unknown {
  switch (type) {
    case ScalarType.STRING:
      return tape.pick(oddTexts);
    case ScalarType.BYTES:
      return tape.pick([new Uint8Array(), Uint8Array.of(255), Uint8Array.of(3)]);
    case ScalarType.BOOL:
      return tape.below(2) === 1;
    case ScalarType.UINT64:
      return tape.pick([0n, 1n, 2n ** 64n - 1n]);
    case ScalarType.UINT32: {
      const numbers = [0, 1, 7, 8, 64, 4_294_967_295, ...boundsOf(field).flatMap(around)];
      return tape.pick(numbers.filter((number) => number >= 0));
    }
    default:
      return tape.pick([
        0,
        1,
        -1,
        0.001,
        1e300,
        Number.NaN,
        Number.NEGATIVE_INFINITY,
        ...boundsOf(field).flatMap(around),
      ]);
  }
}

function around(bound: number): number[] {
  return [bound - 1, bound, bound + 1];
}

/** The numbers at which the range of a field ends. */
function boundsOf(field: DescField): readonly number[] {
  const { type } = hasOption(field, fieldRules) ? getOption(field, fieldRules) : {};
  switch (type?.case) {
    case "uint32":
    case "double":
      return [type.value.lessThan.value, type.value.greaterThan.value].filter((bound) => bound !== undefined);
    default:
      return [];
  }
}

function isStruct({ typeName }: DescMessage): boolean {
  return typeName === StructSchema.typeName;
}

const oddTexts: readonly [string, ...string[]] = [
  "",
  " \t\n",
  "x",
  "euler",
  "lanczos",
  "bislerp",
  "demo-sd15.safetensors",
  "../../x",
  "..\\x",
  "\u0000",
  "constructor",
  "__proto__",
  "🦊".repeat(300),
  "a".repeat(513),
  "a".repeat(5_001),
  "{}",
  "[1]",
  '{"1":{"class_type":"PreviewImage","inputs":{}}}',
];
