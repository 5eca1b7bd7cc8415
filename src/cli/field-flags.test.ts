import { expect, it } from "vitest";
import { GenerationSpecSchema } from "../../gen/comfyrpc/v1/generation_pb.js";
import { flagOfField } from "./field-flags.ts";
import { generateCommand } from "./generate-command.ts";
import { captureIo } from "./testing/capture-io.ts";

it("finds the option of a field, of a part of it, and of one in a list", () => {
  expect(flagOfField("spec.width_px")).toBe("--width");
  expect(flagOfField("spec.loras[1].model_strength")).toBe("--lora");
  expect(flagOfField("spec.output.quality")).toBe("--quality");
  expect(flagOfField("spec.inpaint.mask.asset_id")).toBe("--mask");
  expect(flagOfField("spec.inpaint.resize")).toBe("--resize");
  expect(flagOfField('spec.workflow.images["10.image"].url')).toBe("--image");
  expect(flagOfField("spec.preview")).toBe("--preview");
  expect(flagOfField("spec.prompt")).toBeUndefined();
  expect(flagOfField("spec.constructor")).toBeUndefined();
  expect(flagOfField("grid.base.width_px")).toBe("--width");
  expect(flagOfField("grid.seeds[3]")).toBe("--seeds");
  expect(flagOfField('options.labels["a b"]')).toBe("--label");
  expect(flagOfField("filter.states[0]")).toBe("--state");
  expect(flagOfField("specs.specs[3].width_px")).toBeUndefined();
});

it("has an option of `generate` for every field of a picture but the prompt", () => {
  const context = { ...captureIo(), signal: AbortSignal.abort(), setExitCode: () => {} };
  const options = generateCommand(context).options.map(({ long }) => long);
  const others = new Set(["prompt", "workflow", "template"]);
  const fields = GenerationSpecSchema.fields.filter(({ name }) => !others.has(name));
  const paths = fields.flatMap((field) => {
    const isGroup = field.fieldKind === "message";
    return isGroup
      ? field.message.fields.map(({ name }) => `spec.${field.name}.${name}`)
      : [`spec.${field.name}`];
  });
  expect(paths).toContain("spec.inpaint.grow_px");
  for (const path of paths) {
    expect(options, path).toContain(flagOfField(path));
  }
});
