import { describe } from "vitest";
import { describeCanonicalGraphs } from "./comfyui/canonical.ts";
import { describeConnection } from "./comfyui/connection.ts";
import { describeDiscovery } from "./comfyui/discovery.ts";
import { describeExecution } from "./comfyui/execution.ts";
import { describeFailure } from "./comfyui/failure.ts";
import { describeFiles } from "./comfyui/files.ts";
import { describePixels } from "./comfyui/pixels.ts";
import { describeQueue } from "./comfyui/queue.ts";
import { describeRejection } from "./comfyui/rejection.ts";
import { describeRouting } from "./comfyui/routing.ts";
import type { OpenServer } from "./comfyui/session.ts";
import { describeTypedModes } from "./comfyui/typed-modes.ts";

export type { ComfyUiServerUnderTest, OpenServer } from "./comfyui/session.ts";

/** Bound for one test, in milliseconds; every single wait in it has a shorter one. */
const TEST_TIMEOUT_MS = 180_000;

/**
 * What every ComfyUI server promises to our adapter, whichever release it is. Run by the tests of the built-in engine
 * and, on request, against a real ComfyUI.
 *
 * The server must be idle, keep its node cache (no `--cache-none`), write PNG metadata and, before 0.5.0, run with
 * `--preview-method latent2rgb`. Tests leave files below `contract/` in its output and input directories.
 */
export function describeComfyUiServer(name: string, open: OpenServer): void {
  describe(`${name} as a ComfyUI server`, { timeout: TEST_TIMEOUT_MS }, () => {
    describeConnection(open);
    describeDiscovery(open);
    describeRejection(open);
    describeExecution(open);
    describeFailure(open);
    describeRouting(open);
    describeQueue(open);
    describeFiles(open);
    describePixels(open);
    describeTypedModes(open);
    describeCanonicalGraphs(open);
  });
}
