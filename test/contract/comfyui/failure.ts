import { describe, expect, it } from "vitest";
import { failingAtSave, saveImage, withoutInput } from "./graphs.ts";
import { promptAccepted } from "./messages.ts";
import { imagesOf, lastMessage, type OpenServer, Session } from "./session.ts";
import { ofType } from "./wire.ts";

/** What happens to a prompt that passes validation and fails all the same, as a whole or in part. */
export function describeFailure(open: OpenServer): void {
  describe("failure", () => {
    // Protocol 1.2: validation lets a literal pass where only a link makes sense.
    it("reports a node that fails with its id, class, exception and inputs", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const graph = failingAtSave(session.txt2img());
      const { frames } = await session.run(graph, { socket });
      expect(ofType(frames, "execution_error").map(({ data }) => data)).toEqual([
        expect.objectContaining({
          node_id: "9",
          node_type: "SaveImage",
          exception_type: expect.stringMatching(/Error$/),
          exception_message: expect.stringMatching(/\S/),
          current_inputs: expect.objectContaining({ images: ["not a link"] }),
        }),
      ]);
      expect(frames.map((frame) => frame.type).slice(-2)).toEqual(["execution_error", "executing"]);
      expect(ofType(frames, "execution_success")).toEqual([]);
    });

    it("records a failure as error, not completed, and its last message is the execution_error event", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const graph = failingAtSave(session.txt2img());
      const { frames, record } = await session.run(graph, { socket });
      const [event] = ofType(frames, "execution_error");
      expect(record.status).toMatchObject({ status_str: "error", completed: false });
      expect(lastMessage(record)).toBe("execution_error");
      expect(record.status.messages.at(-1)?.[1]).toMatchObject({ ...event?.data });
      expect(imagesOf(record)).toEqual([]);
    });

    it("fails a prompt whose files would leave the output directory", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const graph = session.txt2img({ filenamePrefix: "../../outside" });
      const { record } = await session.run(graph, { socket });
      expect(lastMessage(record)).toBe("execution_error");
      expect(imagesOf(record)).toEqual([]);
    });

    it("runs the next prompt after a failed one", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      await session.run(failingAtSave(session.txt2img()), { socket });
      const { record } = await session.run(session.txt2img(), { socket });
      expect(lastMessage(record)).toBe("execution_success");
    });

    // Trap 7: 200 with node_errors means that a part of the graph was dropped.
    it("accepts a graph with one valid and one invalid output, says so, and runs the valid one", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const graph = withoutInput({ ...session.txt2img(), "10": saveImage(["8", 0]) }, "10", "images");
      const reply = await session.post(graph, { socket });
      expect(reply.status).toBe(200);
      const { prompt_id, node_errors } = reply.json(promptAccepted);
      expect(node_errors).toMatchObject({
        "10": {
          class_type: "SaveImage",
          dependent_outputs: ["10"],
          errors: [{ type: "required_input_missing", extra_info: { input_name: "images" } }],
        },
      });
      await socket.whenEnded(prompt_id);
      const record = await session.record(prompt_id);
      expect(record.status.status_str).toBe("success");
      expect(Object.keys(record.outputs)).toEqual(["9"]);
    });
  });
}
