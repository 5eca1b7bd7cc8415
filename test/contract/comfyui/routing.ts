import { describe, expect, it } from "vitest";
import { FEW_STEPS } from "./graphs.ts";
import { type OpenServer, Session } from "./session.ts";
import { ofType } from "./wire.ts";

/** Which connection receives the events of which prompt (protocol 2.3, trap 19). */
export function describeRouting(open: OpenServer): void {
  describe("routing", () => {
    it("sends the events of a prompt to the client that submitted it only", async () => {
      await using session = await Session.start(open);
      const submitter = await session.connect();
      const bystander = await session.connect();
      const { promptId } = await session.run(session.txt2img(), { socket: submitter });
      await session.run(session.txt2img(), { socket: bystander }); // its end comes after all that could be sent
      expect(bystander.framesOf(promptId)).toEqual([]);
    });

    it("serves two clients at once, each with its own prompt", async () => {
      await using session = await Session.start(open);
      const sockets = [await session.connect(), await session.connect()];
      const runs = await Promise.all(sockets.map((socket) => session.run(session.txt2img(), { socket })));
      for (const [index, { promptId, frames }] of runs.entries()) {
        expect(ofType(frames, "execution_success")).toHaveLength(1);
        expect(ofType(frames, "progress").length).toBeGreaterThan(0);
        expect(sockets[1 - index]?.framesOf(promptId)).toEqual([]);
      }
    });

    // Such previews are of type 1 even for a client that negotiated type 4, so type 1 alone says nothing of whose it is.
    it("broadcasts progress and previews of a prompt without client, but not its start, nodes or end", async () => {
      await using session = await Session.start(open);
      const bystander = await session.connect({ previewMetadata: true });
      const extraData = { preview_method: "latent2rgb" };
      const promptId = await session.submit(session.txt2img(), { extraData });
      const own = await session.submit(session.txt2img(), { socket: bystander });
      await bystander.whenEnded(own);

      const types = new Set(bystander.framesOf(promptId).map((frame) => frame.type));
      expect([...types].sort()).toEqual(["progress", "progress_state"]);
      const ownStart = bystander.frames.findIndex((frame) => frame.type === "execution_start");
      const foreignPreviews = ofType(bystander.frames.slice(0, ownStart), "preview");
      expect(foreignPreviews.map(({ binaryType }) => binaryType)).toEqual(Array(FEW_STEPS).fill(1));
    });
  });
}
