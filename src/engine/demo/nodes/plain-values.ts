import type { InputSpec, NodeDefinition } from "./node.ts";

/** The largest integer of 64 bits with a sign. */
const LARGEST = 9223372036854775807n;

/** Nodes of texts, numbers and switches, which travel along links as they are. */
export const plainValues: readonly NodeDefinition[] = [
  primitive("PrimitiveString", "String", { type: "STRING", options: { multiline: false } }),
  primitive("PrimitiveStringMultiline", "String (Multiline)", {
    type: "STRING",
    options: { multiline: true },
  }),
  primitive("PrimitiveInt", "Int", {
    type: "INT",
    options: { min: -LARGEST, max: LARGEST, control_after_generate: true },
  }),
  primitive("PrimitiveFloat", "Float", { type: "FLOAT", options: { min: -LARGEST, max: LARGEST } }),
  primitive("PrimitiveBoolean", "Boolean", { type: "BOOLEAN" }),
  {
    classType: "StringConcatenate",
    displayName: "Concatenate",
    category: "utils/string",
    pythonModule: "comfy_extras.nodes_string",
    required: {
      string_a: { type: "STRING", options: { multiline: true } },
      string_b: { type: "STRING", options: { multiline: true } },
      delimiter: { type: "STRING", options: { default: "", multiline: false } },
    },
    outputs: [{ type: "STRING" }],
    run: (inputs) => ({
      values: [[inputs.text("string_a"), inputs.text("string_b")].join(inputs.text("delimiter"))],
    }),
  },
  {
    classType: "GetImageSize",
    displayName: "Get Image Size",
    category: "image",
    pythonModule: "comfy_extras.nodes_images",
    required: { image: { type: "IMAGE" } },
    hidden: { unique_id: "UNIQUE_ID" },
    outputs: [
      { type: "INT", name: "width" },
      { type: "INT", name: "height" },
      { type: "INT", name: "batch_size" },
    ],
    run: (inputs) => {
      const { images } = inputs.value("image", "IMAGE");
      const [first] = images;
      return { values: [first?.width ?? 0, first?.height ?? 0, images.length] };
    },
  },
];

/** A node that gives what it has been given. */
function primitive(classType: string, displayName: string, value: InputSpec & { readonly type: string }) {
  return {
    classType,
    displayName,
    category: "utils/primitive",
    pythonModule: "comfy_extras.nodes_primitive",
    required: { value },
    outputs: [{ type: value.type }],
    run: (inputs) => ({ values: [inputs.anything("value")] }),
  } satisfies NodeDefinition;
}
