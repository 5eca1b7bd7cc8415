import type { ResolvedUpscaleTask } from "../generation.ts";
import type { GenerationPlan } from "../generation-plan.ts";
import { buildUpscale, UpscaleModels } from "./enlarge.ts";
import { GraphBuilder, imagePlaces } from "./graph-builder.ts";
import { InputFiles } from "./input-files.ts";

/** Builds the graph that enlarges an image without drawing. As for `filePrefix`, see `buildPicture`. */
export function buildUpscaleOnly(task: ResolvedUpscaleTask, filePrefix: string): GenerationPlan {
  const builder = new GraphBuilder();
  const files = new InputFiles(builder);
  const upscalers = new UpscaleModels(builder);
  const images = imagePlaces(1).map((place) => {
    const enlarged = buildUpscale(builder, place, task.upscale, files.loadImage(task.image), upscalers);
    const saved = builder.add("9", "SaveImage", "Save image", {
      images: enlarged,
      filename_prefix: `${filePrefix}_${place.index}`,
    });
    return { samplerNodeIds: [], saveNodeId: saved };
  });
  return { graph: builder.graph, inputs: files.planned, images, keeps: "images" };
}
