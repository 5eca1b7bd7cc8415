import type { ModelFilesSpec, ResolvedModelFiles } from "../generation.ts";
import type { ModelNames } from "../model-kind.ts";
import { modelFamilies } from "./model-families.ts";
import type { Problems } from "./problems.ts";

/** Fills in what a model in several files is made of, and notes what does not fit its family. */
export function resolveModelFiles(
  spec: ModelFilesSpec,
  models: ModelNames,
  problems: Problems,
): ResolvedModelFiles {
  const { family, guidance, shift } = spec;
  const traits = modelFamilies[family];
  const diffusionModel = problems.known({
    what: "diffusion model",
    reason: "MODEL_NOT_FOUND",
    kind: "diffusionModel",
    field: "spec.model_files.diffusion_model",
    name: spec.diffusionModel,
    listed: models.diffusionModel,
  });
  const textEncoders = spec.textEncoders.map((name, i) =>
    problems.known({
      what: "text encoder",
      reason: "MODEL_NOT_FOUND",
      kind: "textEncoder",
      field: `spec.model_files.text_encoders[${i}]`,
      name,
      listed: models.textEncoder,
    }),
  );
  const most = traits.encoders.length;
  const fewest = most - traits.optionalEncoderCount;
  if (textEncoders.length < fewest || textEncoders.length > most) {
    const count = fewest === most ? `${most}` : `${fewest} or ${most}`;
    problems.add(
      "spec.model_files.text_encoders",
      `are ${textEncoders.length}; this family has ${count}: ${traits.encoders.join(", ")}`,
    );
  }
  if (guidance !== undefined && traits.guidance === undefined) {
    problems.add("spec.model_files.guidance", "this family is not guided that way; leave it out and use cfg");
  }
  if (shift !== undefined && traits.shift === undefined) {
    problems.add("spec.model_files.shift", "the noise schedule of this family is not shifted; leave it out");
  }
  return {
    family,
    diffusionModel,
    textEncoders,
    weightType: spec.weightType ?? "default",
    ...(traits.guidance !== undefined && { guidance: guidance ?? traits.guidance }),
    ...(traits.shift !== undefined && { shift: shift ?? traits.shift.default }),
  };
}
