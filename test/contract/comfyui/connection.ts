import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { FEW_STEPS } from "./graphs.ts";
import { type OpenServer, Session } from "./session.ts";
import { ofType, type PreviewFrame } from "./wire.ts";

const JPEG_START = Buffer.from([0xff, 0xd8, 0xff]);

/** What a WebSocket connection promises before and beside the events of a prompt (protocol 2.1, 2.2, 2.6). */
export function describeConnection(open: OpenServer): void {
  describe("connection", () => {
    it("sends a status frame with the asked-for session id first", async () => {
      await using session = await Session.start(open);
      const clientId = randomUUID();
      const socket = await session.connect({ clientId });
      expect(socket.frames[0]).toMatchObject({ type: "status", data: { sid: clientId } });
    });

    it("makes up a session id for a client that brings none", async () => {
      await using session = await Session.start(open);
      const one = await session.connect({ clientId: undefined });
      const other = await session.connect({ clientId: undefined });
      expect(one.clientId).not.toBe("");
      expect(one.clientId).not.toBe(other.clientId);
    });

    it("answers the feature_flags handshake with the flags of GET /features", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect({ previewMetadata: true });
      const { data } = await socket.when("feature_flags");
      const features = (await session.http.get("/api/features")).json(z.record(z.string(), z.unknown()));
      expect(features).toMatchObject(data);
      expect(features).toMatchObject({
        supports_preview_metadata: true,
        max_upload_size: expect.any(Number),
      });
    });

    it("answers pings, so that a silent connection can be told from a dead one", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      await socket.ping();
    });

    // Trap 10: how a client notices that its connection has gone deaf.
    it("tells every connection when the queue changes", async () => {
      await using session = await Session.start(open);
      const submitter = await session.connect();
      const bystander = await session.connect();
      await session.run(session.txt2img(), { socket: submitter });
      const busy = await bystander.when(
        "status",
        (frame) => frame.data.status.exec_info.queue_remaining === 1,
      );
      expect(busy.data.sid).toBeUndefined();
      await bystander.when(
        "status",
        (frame) => frame.data.status.exec_info.queue_remaining === 0,
        bystander.frames.indexOf(busy),
      );
    });

    it("sends previews that name prompt and node to a client that negotiated them, one a step", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect({ previewMetadata: true });
      const { promptId, frames } = await session.run(session.txt2img(), withPreviews(socket));
      const previews = ofType(frames, "preview");
      expect(previews).toHaveLength(FEW_STEPS);
      for (const preview of previews) {
        expect(preview).toMatchObject({ binaryType: 4, metadata: { prompt_id: promptId, node_id: "3" } });
        expectJpeg(preview);
      }
    });

    it("sends previews without metadata to a client that did not, one a step", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect({ previewMetadata: false });
      await session.run(session.txt2img(), withPreviews(socket));
      const previews = ofType(socket.frames, "preview");
      expect(previews).toHaveLength(FEW_STEPS);
      for (const preview of previews) {
        expect(preview.binaryType).toBe(1);
        expectJpeg(preview);
      }
    });

    // Protocol 2.6: the key is new in 0.5.0; a server without the jobs routes (0.6.0) may or may not know it.
    it("sends no previews for a prompt that asks for none", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const extraData = { preview_method: "none" };
      const { frames } = await session.run(session.txt2img(), { socket, extraData });
      const count = ofType(frames, "preview").length;
      if (await session.hasJobsRoute()) expect(count).toBe(0);
      else expect([0, FEW_STEPS]).toContain(count);
    });
  });
}

/** Asks for previews in the request; servers before 0.5.0 have to be started with `--preview-method latent2rgb`. */
function withPreviews<T>(socket: T): { socket: T; extraData: Record<string, unknown> } {
  return { socket, extraData: { preview_method: "latent2rgb" } };
}

function expectJpeg(preview: PreviewFrame): void {
  expect(preview.imageType).toBe("image/jpeg");
  expect(preview.image.subarray(0, JPEG_START.length)).toEqual(JPEG_START);
}
