import { describe } from "vitest";
import { firstCheckpointOf } from "./comfyui/session.ts";
import { type ComfyUiServerUnderTest, describeComfyUiServer } from "./comfyui-server.ts";

const url = process.env.COMFYUI_URL;

/** The server at `COMFYUI_URL`, with the first checkpoint that it lists. It is not ours to stop. */
async function openRealServer(): Promise<ComfyUiServerUnderTest> {
  const baseUrl = new URL(url ?? "").origin;
  const checkpoint = await firstCheckpointOf(baseUrl);
  return { baseUrl, checkpoint, [Symbol.asyncDispose]: () => Promise.resolve() };
}

describe.skipIf(!url)("with COMFYUI_URL", () => {
  describeComfyUiServer("a real ComfyUI", openRealServer);
});
