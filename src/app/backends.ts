import { request } from "undici";
import type { Config } from "../config/config.ts";
import type { NamedAddress } from "../config/settings.ts";
import { createComfyUiEngine } from "../engine/comfyui/comfyui-engine.ts";
import { startDemoEngine } from "../engine/demo/demo-engine.ts";
import type { Engine } from "../engine/engine.ts";
import type { Logger } from "../telemetry/logger.ts";

/** Which backends the service draws with. */
export interface ChosenBackends {
  readonly backends: readonly NamedAddress[];
  /** Whether the only one is the built-in engine, started here for want of a ComfyUI. */
  readonly isOwnEngine: boolean;
}

/** The configured ComfyUIs; else one at the usual place; else the built-in engine, started here and owned by `opened`. */
export async function chooseBackends(
  config: Config,
  logger: Logger,
  opened: AsyncDisposableStack,
): Promise<ChosenBackends> {
  if (config.comfyUiBackends.length > 0) {
    return { backends: config.comfyUiBackends, isOwnEngine: false };
  }
  if (await answersAsComfyUi(usualComfyUiUrl)) {
    logger.info({ url: usualComfyUiUrl }, "COMFYUI_URL is not set; found a ComfyUI at its usual place");
    return { backends: [{ name: "comfyui", url: usualComfyUiUrl }], isOwnEngine: false };
  }
  const engine = opened.use(
    await startDemoEngine({ host: "127.0.0.1", port: 0, stepMs: config.engineStepMs, logger }),
  );
  logger.warn(
    { url: engine.url },
    "COMFYUI_URL is not set and no ComfyUI answers at its usual place: drawing with the built-in engine, which is not a diffusion model",
  );
  return { backends: [{ name: "built-in", url: engine.url }], isOwnEngine: true };
}

/** Makes an engine of each backend; they connect in the background. */
export function createEngines(
  config: Config,
  { backends }: ChosenBackends,
  logger: Logger,
  opened: AsyncDisposableStack,
): readonly Engine[] {
  const { comfyUiUser: user, comfyUiPassword: password, comfyUiToken: bearer } = config;
  const stepSilenceMs = config.comfyUiStallSeconds * 1_000;
  return backends.map(({ name, url }) =>
    opened.use(
      createComfyUiEngine(
        {
          name,
          baseUrl: url,
          headers: config.comfyUiHeaders,
          ...(user !== undefined && password !== undefined && { auth: { basic: { user, password } } }),
          ...(bearer !== undefined && { auth: { bearer } }),
          ...(config.files.comfyUiCa !== undefined && { tls: { ca: config.files.comfyUiCa } }),
          stepSilenceMs,
          loadingSilenceMs: 5 * stepSilenceMs,
          pendingSilenceMs: Math.min(60_000, stepSilenceMs),
          lostAfterMs: config.comfyUiLostSeconds * 1_000,
        },
        { logger, random: Math.random },
      ),
    ),
  );
}

/** Where ComfyUI listens unless told otherwise. */
const usualComfyUiUrl = "http://127.0.0.1:8188";

async function answersAsComfyUi(url: string): Promise<boolean> {
  try {
    const { statusCode, body } = await request(new URL("/api/system_stats", url), {
      signal: AbortSignal.timeout(1_000),
    });
    await body.dump();
    return statusCode === 200;
  } catch {
    return false; // refused, silent, or no HTTP: whatever is there, it is no ComfyUI
  }
}
