import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { buildPicture as buildPicturePlan } from "../../../src/domain/build/build-picture.ts";
import { buildUpscaleOnly } from "../../../src/domain/build/build-upscale.ts";
import { pictureModes, upscaleModes } from "../../../src/domain/build/testing/modes.ts";
import type { ResolvedPicture } from "../../../src/domain/generation.ts";
import type { GenerationPlan } from "../../../src/domain/generation-plan.ts";
import type { GraphNode, WorkflowGraph } from "../../../src/domain/graph.ts";
import { buildInputImage, buildPicture } from "../../support/generations.ts";
import { promptAccepted } from "./messages.ts";
import { type OpenServer, Session } from "./session.ts";
import { upload } from "./uploads.ts";

/** The graphs that the service makes of specs: a ComfyUI server accepts each of them (protocol 4). */
export function describeTypedModes(open: OpenServer): void {
  describe("the graphs of the typed modes", () => {
    const { [newestFamily]: newest = {}, ...modes } = pictureModes;

    it.each(Object.entries(modes))("accepts %s", async (_, parts) => {
      await expectAccepted(open, planOf(parts));
    });

    it(`accepts ${newestFamily}, if it is not too old for it`, async ({ skip }) => {
      const plan = planOf(newest);
      await using session = await Session.start(open);
      const { text } = await session.http.get("/api/object_info/EmptyFlux2LatentImage");
      skip(text === "{}", "the server does not have this family");
      await expectAccepted(open, plan);
    });

    it.each(Object.entries(upscaleModes))("accepts %s", async (_, upscale) => {
      await expectAccepted(
        open,
        buildUpscaleOnly({ type: "upscale", image: buildInputImage(), upscale }, prefix),
      );
    });
  });
}

const prefix = "contract/typed-modes";

/** Came after the oldest ComfyUI that the service is run with. */
const newestFamily = "model files, flux2";

function planOf(parts: Partial<ResolvedPicture>): GenerationPlan {
  return buildPicturePlan(buildPicture({ ...parts, seed: 7n }), prefix);
}

async function expectAccepted(open: OpenServer, plan: GenerationPlan): Promise<void> {
  await using session = await Session.start(open);
  for (const { fileName } of plan.inputs) {
    await uploadAs(session, fileName);
  }
  const reply = await session.post(await withNamesOf(session, plan.graph));
  expect(reply.status, reply.text).toBe(200);
  expect(reply.json(promptAccepted).node_errors).toEqual({});
}

/** Graphs name model files of our making: each becomes the first one that the server lists for that input. */
async function withNamesOf(session: Session, graph: WorkflowGraph): Promise<Record<string, unknown>> {
  const named: [string, unknown][] = [];
  for (const [id, node] of Object.entries(graph)) {
    named.push([id, { ...node, inputs: { ...plainInputs(node), ...(await namesFor(session, node)) } }]);
  }
  return Object.fromEntries(named);
}

function plainInputs({ inputs }: GraphNode): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => [name, typeof value === "bigint" ? Number(value) : value]),
  );
}

async function namesFor(
  session: Session,
  { class_type, inputs }: GraphNode,
): Promise<Record<string, string>> {
  const fileInputs = Object.keys(inputs).filter((name) => /^(\w+_name\d?|unet_name)$/.test(name));
  const names: Record<string, string> = {};
  for (const name of fileInputs.filter((one) => one !== "sampler_name")) {
    const [first] = await choicesOf(session, class_type, name);
    if (first === undefined) {
      throw new Error(`the server lists no file for ${name} of ${class_type}; put one there, of any content`);
    }
    names[name] = first;
  }
  return names;
}

const choices = z.union([
  z
    .tuple([z.array(z.string())])
    .rest(z.unknown())
    .transform(([list]) => list),
  z.tuple([z.string(), z.object({ options: z.array(z.string()) })]).transform(([, { options }]) => options),
]);

async function choicesOf(session: Session, classType: string, inputName: string): Promise<string[]> {
  const reply = await session.http.get(`/api/object_info/${classType}`);
  const info = reply.json(
    z.record(z.string(), z.object({ input: z.object({ required: z.record(z.string(), z.unknown()) }) })),
  );
  return choices.parse(info[classType]?.input.required[inputName]);
}

/** Uploads a picture in part transparent, for what takes its mask from there. */
async function uploadAs(session: Session, fileName: string): Promise<void> {
  const [subfolder = "", name = ""] = fileName.split("/");
  const background = { r: 90, g: 120, b: 30, alpha: 0.5 };
  const image = await sharp({ create: { width: 64, height: 64, channels: 4, background } })
    .png()
    .toBuffer();
  expect(await upload(session, { image, name, subfolder })).toMatchObject({ name, subfolder });
}
