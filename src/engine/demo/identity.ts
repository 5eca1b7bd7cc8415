/**
 * How the engine says what it is. A client can tell it from a real ComfyUI by `system.comfyrpc_demo_engine: true` in
 * `GET /api/system_stats`; people by the name, which also stands in every picture's metadata.
 */
export const identity = {
  /** Written into every picture as the PNG text `Software`. */
  software: "ComfyRPC built-in engine (not a diffusion model)",
  /** Value of `system.deploy_environment`. */
  deployEnvironment: "comfyrpc-built-in-engine",
  /** Release of ComfyUI whose behaviour is imitated where releases differ. */
  comfyuiVersion: "0.38.1",
} as const;
