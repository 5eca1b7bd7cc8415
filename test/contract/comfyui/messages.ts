import { z } from "zod";

/**
 * The messages of ComfyUI's protocol as far as our adapter relies on them. Unknown keys are ignored, because every
 * release adds some; a missing or differently typed key fails the test that received it.
 */

const timestamp = z.int().positive();
const nodeIds = z.array(z.string());
const record = z.record(z.string(), z.unknown());

const nodeProgress = z.object({
  value: z.number(),
  max: z.number(),
  state: z.enum(["running", "finished"]),
  node_id: z.string(),
  prompt_id: z.string(),
  display_node_id: z.string(),
  real_node_id: z.string(),
});

const executionError = z.object({
  prompt_id: z.string(),
  node_id: z.string(),
  node_type: z.string(),
  executed: nodeIds,
  exception_message: z.string(),
  exception_type: z.string(),
  traceback: z.array(z.string()),
  current_inputs: record,
  timestamp,
});

/** A text frame of the WebSocket whose `type` we know. */
export const serverEvent = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("status"),
    data: z.object({
      status: z.object({ exec_info: z.object({ queue_remaining: z.int().nonnegative() }) }),
      sid: z.string().optional(),
    }),
  }),
  z.object({ type: z.literal("feature_flags"), data: record }),
  z.object({ type: z.literal("execution_start"), data: z.object({ prompt_id: z.string(), timestamp }) }),
  z.object({
    type: z.literal("execution_cached"),
    data: z.object({ prompt_id: z.string(), nodes: nodeIds, timestamp }),
  }),
  z.object({
    type: z.literal("executing"),
    data: z.object({ prompt_id: z.string().optional(), node: z.string().nullable() }),
  }),
  z.object({
    type: z.literal("progress"),
    data: z.object({ prompt_id: z.string(), node: z.string(), value: z.number(), max: z.number() }),
  }),
  z.object({
    type: z.literal("progress_state"),
    data: z.object({ prompt_id: z.string(), nodes: z.record(z.string(), nodeProgress) }),
  }),
  z.object({
    type: z.literal("executed"),
    data: z.object({ prompt_id: z.string(), node: z.string(), output: record.nullable() }),
  }),
  z.object({ type: z.literal("execution_success"), data: z.object({ prompt_id: z.string(), timestamp }) }),
  z.object({ type: z.literal("execution_error"), data: executionError }),
  z.object({
    type: z.literal("execution_interrupted"),
    data: z.object({
      prompt_id: z.string(),
      node_id: z.string(),
      node_type: z.string(),
      executed: nodeIds,
      timestamp,
    }),
  }),
]);

export type ServerEvent = z.infer<typeof serverEvent>;

/** The JSON head of a binary frame of type 4. */
export const previewMetadata = z.object({
  node_id: z.string(),
  prompt_id: z.string(),
  display_node_id: z.string(),
  real_node_id: z.string(),
  image_type: z.enum(["image/jpeg", "image/png"]),
});

export type PreviewMetadata = z.infer<typeof previewMetadata>;

const validationError = z.object({
  type: z.string(),
  message: z.string(),
  details: z.string(),
  extra_info: record,
});

const nodeErrors = z.record(
  z.string(),
  z.object({ errors: z.array(validationError), dependent_outputs: nodeIds, class_type: z.string() }),
);

/** Body of a 200 from `POST /prompt`. */
export const promptAccepted = z.object({
  prompt_id: z.string(),
  number: z.number(),
  node_errors: nodeErrors,
});

/** Body of a 400 from `POST /prompt`. */
export const promptRejected = z.object({ error: validationError, node_errors: nodeErrors });

export type PromptRejected = z.infer<typeof promptRejected>;

/** `[number, prompt_id, graph, extra_data, output node ids]`, as it stands in the queue and in a history record. */
const queueItem = z.tuple([z.number(), z.string(), record, record, nodeIds]);

/** Body of `GET /queue`. */
export const queueListing = z.object({
  queue_running: z.array(queueItem),
  queue_pending: z.array(queueItem),
});

/** One image in a node's output: what `GET /view` wants to be asked for. */
export const imageEntry = z.object({
  filename: z.string(),
  subfolder: z.string(),
  type: z.enum(["output", "temp", "input"]),
});

export type ImageEntry = z.infer<typeof imageEntry>;

const nodeOutput = z.object({ images: z.array(imageEntry).optional() }).loose();

/** One entry of `GET /history/{id}`. */
export const historyRecord = z.object({
  prompt: queueItem,
  outputs: z.record(z.string(), nodeOutput),
  status: z.object({
    status_str: z.enum(["success", "error"]),
    completed: z.boolean(),
    messages: z.array(z.tuple([z.string(), record])),
  }),
  meta: record,
});

export type HistoryRecord = z.infer<typeof historyRecord>;

/** Body of `GET /history/{id}`: empty while the prompt is not finished, or not known. */
export const historyListing = z.record(z.string(), historyRecord);

/** Body of `GET /api/jobs/{id}`. */
export const job = z.object({
  id: z.string(),
  status: z.enum(["pending", "in_progress", "completed", "failed", "cancelled"]),
});

/** Body of `GET /prompt`. */
export const promptInfo = z.object({ exec_info: z.object({ queue_remaining: z.int().nonnegative() }) });

/** Body of the upload routes. */
export const uploaded = z.object({ name: z.string(), subfolder: z.string(), type: z.string() });

/** Body of `GET /system_stats`. */
export const systemStats = z.object({
  system: z.object({
    comfyui_version: z.string(),
    python_version: z.string(),
    pytorch_version: z.string(),
    ram_total: z.number(),
    ram_free: z.number(),
    argv: z.array(z.string()),
  }),
  devices: z.array(
    z.object({ name: z.string(), type: z.string(), vram_total: z.number(), vram_free: z.number() }),
  ),
});

/** One class of `GET /object_info/{class}`. */
export const nodeClass = z.object({
  input: z.object({
    required: z.record(z.string(), z.array(z.unknown())).optional(),
    optional: z.record(z.string(), z.array(z.unknown())).optional(),
  }),
  input_order: z.object({
    required: z.array(z.string()).optional(),
    optional: z.array(z.string()).optional(),
  }),
  output: z.array(z.unknown()),
  output_name: z.array(z.unknown()),
  // 0.33.0 says null for classes that pass on no flag of their own.
  output_is_list: z.array(z.boolean().nullable()),
  name: z.string(),
  display_name: z.string().nullable(),
  category: z.string(),
  output_node: z.boolean(),
});

export type NodeClass = z.infer<typeof nodeClass>;
