import { describe, expect, it } from "vitest";
import { createModelCatalog } from "./models.ts";
import { startTestEngine, TestClient } from "./testing/test-client.ts";

describe("the invented models", () => {
  it.each([
    "checkpoints",
    "loras",
    "vae",
    "controlnet",
    "upscale_models",
    "diffusion_models",
    "text_encoders",
    "embeddings",
  ])("are some of %s, sorted, that say what they are", (folder) => {
    const models = createModelCatalog();
    const names = models.list(folder) ?? [];
    expect(names.length).toBeGreaterThan(1);
    expect(names).toEqual(names.toSorted());
    for (const name of names) {
      expect(name).toMatch(/^demo-/);
      expect(models.metadata(folder, name)).toMatchObject({
        note: expect.stringContaining("built-in engine"),
      });
    }
  });

  it("are shown as a ComfyUI shows them, embeddings without the ends of their names", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    expect((await client.get("/api/models/upscale_models")).json).toContain("demo-upscale-4x.safetensors");
    expect((await client.get("/api/models/nothing")).status).toBe(404);
    expect((await client.get("/api/embeddings")).json).toEqual(["demo-autumn", "demo-bad-weather"]);
    const shown = await client.get("/api/view_metadata/diffusion_models?filename=demo-flux.safetensors");
    expect(shown.json).toMatchObject({ "modelspec.architecture": "flux-1-dev" });
  });
});
