import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { copyImage, type Graph, saveImage, withInputs, withoutInput, withoutNode } from "./graphs.ts";
import { type PromptRejected, promptAccepted, promptRejected } from "./messages.ts";
import { type OpenServer, Session } from "./session.ts";
import type { Reply } from "./wire.ts";

const SEED_BEYOND_64_BITS = "18446744073709551616";

interface InvalidInput {
  title: string;
  spoil: (graph: Graph) => Graph;
  nodeId: string;
  classType: string;
  errorType: string;
  extraInfo: Record<string, unknown>;
}

/** One way to provoke each error of protocol 1.2 that names a node. */
const invalidInputs: InvalidInput[] = [
  {
    title: "a sampler that the server does not have",
    spoil: (graph) => withInputs(graph, "3", { sampler_name: "no_such_sampler" }),
    nodeId: "3",
    classType: "KSampler",
    errorType: "value_not_in_list",
    extraInfo: { input_name: "sampler_name", received_value: "no_such_sampler" },
  },
  {
    title: "a checkpoint that the server does not have",
    spoil: (graph) => withInputs(graph, "4", { ckpt_name: "no-such-checkpoint.safetensors" }),
    nodeId: "4",
    classType: "CheckpointLoaderSimple",
    errorType: "value_not_in_list",
    extraInfo: { input_name: "ckpt_name", received_value: "no-such-checkpoint.safetensors" },
  },
  {
    title: "a number below the minimum",
    spoil: (graph) => withInputs(graph, "3", { steps: 0 }),
    nodeId: "3",
    classType: "KSampler",
    errorType: "value_smaller_than_min",
    extraInfo: { input_name: "steps", received_value: 0 },
  },
  {
    title: "a number above the maximum",
    spoil: (graph) => withInputs(graph, "3", { cfg: 101 }),
    nodeId: "3",
    classType: "KSampler",
    errorType: "value_bigger_than_max",
    extraInfo: { input_name: "cfg", received_value: 101 },
  },
  {
    title: "a number that is none",
    spoil: (graph) => withInputs(graph, "3", { steps: "many" }),
    nodeId: "3",
    classType: "KSampler",
    errorType: "invalid_input_type",
    extraInfo: { input_name: "steps", received_value: "many" },
  },
  {
    title: "a missing value",
    spoil: (graph) => withoutInput(graph, "3", "seed"),
    nodeId: "3",
    classType: "KSampler",
    errorType: "required_input_missing",
    extraInfo: { input_name: "seed" },
  },
  {
    title: "a missing link",
    spoil: (graph) => withoutInput(graph, "8", "samples"),
    nodeId: "8",
    classType: "VAEDecode",
    errorType: "required_input_missing",
    extraInfo: { input_name: "samples" },
  },
  {
    title: "a link that is not a pair of node id and slot",
    spoil: (graph) => withInputs(graph, "9", { images: ["8"] }),
    nodeId: "9",
    classType: "SaveImage",
    errorType: "bad_linked_input",
    extraInfo: { input_name: "images", received_value: ["8"] },
  },
  {
    title: "a link to an output of another type",
    spoil: (graph) => withInputs(graph, "9", { images: ["5", 0] }),
    nodeId: "9",
    classType: "SaveImage",
    errorType: "return_type_mismatch",
    extraInfo: { input_name: "images", received_type: "LATENT", linked_node: ["5", 0] },
  },
  {
    title: "a link to a node that is not there",
    spoil: (graph) => withInputs(graph, "9", { images: ["77", 0] }),
    nodeId: "9",
    classType: "SaveImage",
    errorType: "exception_during_validation",
    extraInfo: { exception_type: "KeyError" },
  },
  {
    title: "a link to a node that is not there, further up in the graph",
    spoil: (graph) => withInputs(graph, "8", { samples: ["77", 0] }),
    nodeId: "8",
    classType: "VAEDecode",
    errorType: "exception_during_inner_validation",
    extraInfo: { exception_type: "KeyError" },
  },
  {
    title: "a link to an output slot that is not there",
    spoil: (graph) => withInputs(graph, "9", { images: ["8", 5] }),
    nodeId: "9",
    classType: "SaveImage",
    errorType: "exception_during_validation",
    extraInfo: { exception_type: "IndexError" },
  },
  {
    title: "an image that was not uploaded",
    spoil: () => copyImage("no-such-image.png"),
    nodeId: "1",
    classType: "LoadImage",
    errorType: "custom_validation_failed",
    extraInfo: { input_name: "image" },
  },
];

/** What `POST /prompt` refuses, and how it says why (protocol 1.2). */
export function describeRejection(open: OpenServer): void {
  describe("rejection", () => {
    it.each(invalidInputs)("refuses $title as $errorType", async (invalid) => {
      await using session = await Session.start(open);
      const { error, node_errors } = rejected(await session.post(invalid.spoil(session.txt2img())));
      expect(error.type).toBe("prompt_outputs_failed_validation");
      expect(node_errors).toMatchObject({
        [invalid.nodeId]: {
          class_type: invalid.classType,
          dependent_outputs: ["9"],
          errors: [{ type: invalid.errorType, extra_info: invalid.extraInfo }],
        },
      });
    });

    it("reports every invalid input of every node at once", async () => {
      await using session = await Session.start(open);
      const graph = withInputs(session.txt2img(), "3", { steps: 0, cfg: -1 });
      const { node_errors } = rejected(await session.post(withInputs(graph, "5", { width: 0 })));
      expect(inputsAtFault(node_errors)).toEqual(["3.cfg", "3.steps", "5.width"]);
    });

    it("names all outputs that depend on an invalid node", async () => {
      await using session = await Session.start(open);
      const graph = { ...session.txt2img(), "10": saveImage(["8", 0]) };
      const { node_errors } = rejected(await session.post(withInputs(graph, "3", { steps: 0 })));
      expect(node_errors["3"]?.dependent_outputs.toSorted()).toEqual(["10", "9"]);
    });

    // Trap 21.
    it("refuses a seed beyond 64 bits as value_bigger_than_max", async () => {
      await using session = await Session.start(open);
      const graph = withInputs(session.txt2img(), "3", { seed: "<seed>" });
      const body = JSON.stringify({ prompt: graph }).replace('"<seed>"', SEED_BEYOND_64_BITS);
      const { node_errors } = rejected(await session.http.post("/api/prompt", body));
      expect(node_errors["3"]?.errors).toMatchObject([
        { type: "value_bigger_than_max", extra_info: { input_name: "seed" } },
      ]);
    });

    it("refuses a request without a graph as no_prompt", async () => {
      await using session = await Session.start(open);
      const reply = await session.http.post("/api/prompt", { client_id: randomUUID() });
      expect(rejected(reply).error.type).toBe("no_prompt");
    });

    it.each([
      ["an empty graph", () => ({})],
      ["a graph without an output node", (graph: Graph) => withoutNode(graph, "9")],
    ])("refuses %s as prompt_no_outputs", async (_title, spoil) => {
      await using session = await Session.start(open);
      const { error, node_errors } = rejected(await session.post(spoil(session.txt2img())));
      expect(error.type).toBe("prompt_no_outputs");
      expect(node_errors).toEqual({});
    });

    it("names the node whose class it does not know", async () => {
      await using session = await Session.start(open);
      const graph = { ...session.txt2img(), "8": { class_type: "NoSuchNode", inputs: {} } };
      const { error, node_errors } = rejected(await session.post(graph));
      expectUnknownClass(error, { node_id: "8", class_type: "NoSuchNode" });
      expect(error.message).toContain("NoSuchNode");
      expect(node_errors).toEqual({});
    });

    it("names the node that has no class", async () => {
      await using session = await Session.start(open);
      const graph = { ...session.txt2img(), "8": { inputs: {} } };
      expectUnknownClass(rejected(await session.post(graph)).error, { node_id: "8" });
    });

    // Before 0.20.0 such a graph is refused without any node error.
    it("refuses a graph that runs in a circle", async () => {
      await using session = await Session.start(open);
      const graph = withInputs(session.txt2img(), "3", { latent_image: ["3", 0] });
      const { error, node_errors } = rejected(await session.post(graph));
      expect(error.type).toBe("prompt_outputs_failed_validation");
      const types = Object.values(node_errors).flatMap(({ errors }) => errors.map(({ type }) => type));
      // Older servers run into Python's limit of recursion, and say so of a node or of none.
      const known = ["dependency_cycle", "exception_during_inner_validation"];
      expect(types.filter((type) => !known.includes(type))).toEqual([]);
    });

    // Trap 39: newer servers want a canonical UUID, older ones take any text; never a third outcome.
    it("either refuses a prompt id that is no UUID as invalid_prompt_id, or runs under exactly that id", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const promptId = `contract-${randomUUID()}`;
      const reply = await session.post(session.txt2img(), { socket, promptId });
      if (reply.status === 400) {
        expect(rejected(reply).error.type).toBe("invalid_prompt_id");
        return;
      }
      expect(reply.json(promptAccepted).prompt_id).toBe(promptId);
      await socket.whenEnded(promptId);
      expect((await session.record(promptId)).prompt[1]).toBe(promptId);
    });

    it("keeps no trace of a refused prompt", async () => {
      await using session = await Session.start(open);
      const promptId = randomUUID();
      rejected(await session.post(withInputs(session.txt2img(), "3", { steps: 0 }), { promptId }));
      expect(await session.stateOf(promptId)).toBe("unknown");
      expect(await session.history(promptId)).toEqual({});
    });

    // Trap 36: mostly 500 and plain text, so the client must not count on 400 or JSON here.
    it.each(['{"prompt":', "null", "[]"])(
      "answers %s instead of a request with an error and lives on",
      async (body) => {
        await using session = await Session.start(open);
        const { status } = await session.http.post("/api/prompt", body);
        expect(status).toBeGreaterThanOrEqual(400);
        expect((await session.http.get("/api/prompt")).status).toBe(200);
      },
    );
  });
}

function rejected(reply: Reply): PromptRejected {
  const rejection = reply.json(promptRejected);
  expect(reply.status).toBe(400);
  return rejection;
}

/** `missing_node_type` with details in `extra_info`; before 0.12.0 `invalid_prompt`, which names only the node's id. */
function expectUnknownClass(
  error: PromptRejected["error"],
  node: { node_id: string; class_type?: string },
): void {
  expect(["missing_node_type", "invalid_prompt"]).toContain(error.type);
  if (error.type === "missing_node_type") expect(error.extra_info).toMatchObject(node);
  else expect(error.details).toContain(node.node_id);
}

function inputsAtFault(nodeErrors: PromptRejected["node_errors"]): string[] {
  return Object.entries(nodeErrors)
    .flatMap(([nodeId, { errors }]) => errors.map(({ extra_info }) => `${nodeId}.${extra_info.input_name}`))
    .sort();
}
