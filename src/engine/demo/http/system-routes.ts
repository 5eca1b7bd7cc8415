import { freemem, totalmem } from "node:os";
import { identity } from "../identity.ts";
import type { JsonObject } from "../json.ts";
import { MAX_BODY_BYTES, type Route, replyJson, replyText } from "./exchange.ts";

/** What the server can do, as clients are told over HTTP and WebSocket. */
export const features: JsonObject = {
  supports_preview_metadata: true,
  supports_model_type_tags: true,
  max_upload_size: MAX_BODY_BYTES,
  extension: { manager: { supports_v4: true } },
  node_replacements: true,
  assets: false,
};

/** What the server is. `previewMethod` is shown as if it had been given on a command line. */
export function systemRoutes(previewMethod: string): readonly Route[] {
  return [
    { method: "GET", path: "/", handle: (exchange) => replyText(exchange, 200, `${identity.software}\n`) },
    { method: "GET", path: "/features", handle: (exchange) => replyJson(exchange, features) },
    {
      method: "GET",
      path: "/system_stats",
      handle: (exchange) => replyJson(exchange, systemStats(previewMethod)),
    },
  ];
}

function systemStats(previewMethod: string): JsonObject {
  const memory = {
    vram_total: totalmem(),
    vram_free: freemem(),
    torch_vram_total: totalmem(),
    torch_vram_free: freemem(),
  };
  return {
    system: {
      os: process.platform,
      ram_total: totalmem(),
      ram_free: freemem(),
      comfyui_version: identity.comfyuiVersion,
      comfyrpc_demo_engine: true,
      required_frontend_version: "",
      installed_templates_version: null,
      required_templates_version: "",
      comfy_package_versions: [],
      python_version: "none",
      pytorch_version: "none",
      embedded_python: false,
      deploy_environment: identity.deployEnvironment,
      argv: ["comfyrpc-engine", "--preview-method", previewMethod],
    },
    devices: [{ name: identity.software, type: "cpu", index: null, ...memory }],
  };
}
