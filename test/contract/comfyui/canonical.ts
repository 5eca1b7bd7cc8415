import sharp from "sharp";
import { describe, expect, it, type TestContext } from "vitest";
import { z } from "zod";
import { type CanonicalGraph, canonicalGraphs, type ModelFolder, type Supplies } from "./canonical-graphs.ts";
import { freshPrefix, withoutInput } from "./graphs.ts";
import { promptRejected } from "./messages.ts";
import { imagesOf, type OpenServer, Session } from "./session.ts";
import { inputPath, upload } from "./uploads.ts";

/**
 * Graphs that clients make for every purpose. A real server needs a file, be it empty, in each folder of models;
 * graphs for folders without one are left out.
 */
export function describeCanonicalGraphs(open: OpenServer): void {
  describe("canonical graphs", () => {
    // Nothing runs: the one error is that of the output node, and a server looks at all nodes before it refuses.
    it.for(canonicalGraphs)("finds nothing wrong with $title", async (graph, context) => {
      await using session = await Session.start(open);
      const supplies = await suppliesFor(session, graph, context);
      const reply = await session.post(withoutInput(graph.make(supplies), "9", "filename_prefix"));
      expect(reply.status).toBe(400);
      expect(reply.json(promptRejected).node_errors).toEqual({
        "9": expect.objectContaining({
          errors: [expect.objectContaining({ type: "required_input_missing" })],
        }),
      });
    });

    describeRuns(
      open,
      canonicalGraphs.filter(({ needs, anyCheckpoint }) => anyCheckpoint && needs.length === 0),
    );
  });
}

/** Runs of canonical graphs, for servers that have models for them. */
export function describeRuns(open: OpenServer, graphs: readonly CanonicalGraph[]): void {
  it.for(graphs)("draws by $title", async (graph, context) => {
    await using session = await Session.start(open);
    const supplies = await suppliesFor(session, graph, context);
    const { record } = await session.run(graph.make(supplies), { socket: await session.connect() });
    expect(record.status).toMatchObject({ status_str: "success" });
    expect(imagesOf(record).length).toBeGreaterThan(0);
  });
}

async function suppliesFor(
  session: Session,
  { needs }: CanonicalGraph,
  context: TestContext,
): Promise<Supplies> {
  const file: Record<ModelFolder, string> = {
    checkpoints: session.checkpoint,
    loras: "",
    vae: "",
    controlnet: "",
    upscale_models: "",
    diffusion_models: "",
    text_encoders: "",
  };
  for (const folder of needs) {
    const [first] = (await session.http.get(`/api/models/${folder}`)).json(z.array(z.string()));
    file[folder] = first ?? context.skip(`the server has no file in ${folder}`);
  }
  return { file, image: await uploadPicture(session) };
}

/** Uploads a picture of 64 × 64 pixels that is transparent in the middle, and returns its name as graphs want it. */
async function uploadPicture(session: Session): Promise<string> {
  const hole = Buffer.alloc(32 * 32 * 4, 255);
  const png = await sharp({ create: { width: 64, height: 64, channels: 4, background: "#c04020" } })
    .composite([{ input: hole, raw: { width: 32, height: 32, channels: 4 }, blend: "dest-out" }])
    .png()
    .toBuffer();
  return inputPath(await upload(session, { image: png, name: "hole.png", subfolder: freshPrefix() }));
}
