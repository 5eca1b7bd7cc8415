import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { failingAtSave, MANY_STEPS } from "./graphs.ts";
import { promptInfo, queueListing } from "./messages.ts";
import { lastMessage, type OpenServer, Session } from "./session.ts";
import { type ComfySocket, ofType, type Reply } from "./wire.ts";

type Begin = (session: Session, socket: ComfySocket) => Promise<{ running: string; other: string }>;

/** Ways to have one prompt running and another id that is not. */
const otherPrompts: [kind: string, begin: Begin][] = [
  [
    "an unknown one",
    async (session, socket) => ({ running: await session.startSlow(socket), other: randomUUID() }),
  ],
  [
    "a finished one",
    async (session, socket) => ({
      other: await finishedPrompt(session, socket),
      running: await session.startSlow(socket),
    }),
  ],
  [
    "a waiting one",
    async (session, socket) => ({
      running: await session.startSlow(socket),
      other: await session.submit(session.txt2img(), { socket }),
    }),
  ],
];

/** How waiting, running and ended prompts are listed, removed, interrupted and looked up (protocol 1.3, 1.4). */
export function describeQueue(open: OpenServer): void {
  describe("queue", () => {
    it("lists prompts as number, id, graph, extra data and outputs, running apart from pending", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const running = await session.startSlow(socket);
      const graph = session.txt2img();
      const pending = await session.submit(graph, { socket });
      const listing = (await session.http.get("/api/queue")).json(queueListing);
      expect(listing.queue_running.map(([, promptId]) => promptId)).toEqual([running]);
      expect(listing.queue_pending).toEqual([
        [expect.any(Number), pending, graph, expect.objectContaining({ client_id: socket.clientId }), ["9"]],
      ]);
    });

    it("counts running and waiting prompts together", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      await session.startSlow(socket);
      await session.submit(session.txt2img(), { socket });
      const info = (await session.http.get("/api/prompt")).json(promptInfo);
      expect(info.exec_info.queue_remaining).toBe(2);
    });

    // Trap 13: the client that deletes a prompt is the only one to know.
    it("deletes a waiting prompt without an event and without a history record", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const running = await session.startSlow(socket);
      const deleted = await session.submit(session.txt2img(), { socket });
      const kept = await session.submit(session.txt2img(), { socket });
      const { status } = await session.http.post("/api/queue", { delete: [deleted] });
      expect(status).toBe(200);
      expect(await session.queue()).toEqual({ running: [running], pending: [kept] });

      await session.interrupt(running);
      await socket.whenEnded(kept); // whatever had been sent about the deleted one would have come before
      expect(socket.framesOf(deleted)).toEqual([]);
      expect(await session.history(deleted)).toEqual({});
      expect(await session.stateOf(deleted)).toBe("unknown");
    });

    it("answers the deletion of an unknown or a running prompt with 200 and does nothing", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const running = await session.startSlow(socket);
      const { status } = await session.http.post("/api/queue", { delete: [randomUUID(), running] });
      expect(status).toBe(200);
      expect(await session.queue()).toEqual({ running: [running], pending: [] });
    });

    it("stops a running prompt that is interrupted by its id", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const promptId = await session.startSlow(socket);
      expect((await session.interrupt(promptId)).status).toBe(200);
      await socket.whenEnded(promptId);

      const frames = socket.framesOf(promptId);
      expect(frames.map((frame) => frame.type).slice(-2)).toEqual(["execution_interrupted", "executing"]);
      expect(ofType(frames, "execution_interrupted")[0]?.data).toMatchObject({
        node_id: "3",
        node_type: "KSampler",
      });
      expect(ofType(frames, "progress").at(-1)?.data.value).toBeLessThan(MANY_STEPS);
    });

    // Trap 15: status_str and completed are those of a failure.
    it("records an interrupted prompt as error whose last message is execution_interrupted", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const promptId = await session.startSlow(socket);
      await session.interrupt(promptId);
      await socket.whenEnded(promptId);
      const record = await session.record(promptId);
      expect(record.status).toMatchObject({ status_str: "error", completed: false });
      expect(lastMessage(record)).toBe("execution_interrupted");
      expect(record.outputs).toEqual({});
    });

    it.each(otherPrompts)("leaves the running prompt alone when %s is interrupted", async (_kind, begin) => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const { running, other } = await begin(session, socket);
      expect((await session.interrupt(other)).status).toBe(200);
      await expectStillSampling(session, socket, running);
    });

    it("runs the next prompt untouched after an interruption", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const interrupted = await session.startSlow(socket);
      const next = await session.submit(session.txt2img(), { socket });
      await session.interrupt(interrupted);
      await socket.whenEnded(next);
      expect(lastMessage(await session.record(next))).toBe("execution_success");
    });

    it("tells apart pending, in_progress, completed, failed, cancelled and unknown prompts", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const completed = await finishedPrompt(session, socket);
      const failed = await session.run(failingAtSave(session.txt2img()), {
        socket,
      });
      const cancelled = await session.startSlow(socket);
      await session.interrupt(cancelled);
      await socket.whenEnded(cancelled);
      const running = await session.startSlow(socket);
      const pending = await session.submit(session.txt2img(), { socket });

      expect(await session.stateOf(completed)).toBe("completed");
      expect(await session.stateOf(failed.promptId)).toBe("failed");
      expect(await session.stateOf(cancelled)).toBe("cancelled");
      expect(await session.stateOf(running)).toBe("in_progress");
      expect(await session.stateOf(pending)).toBe("pending");
      expect(await session.stateOf(randomUUID())).toBe("unknown");
    });

    it("has no history record of a prompt that waits, runs or never was", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const running = await session.startSlow(socket);
      const pending = await session.submit(session.txt2img(), { socket });
      for (const promptId of [running, pending, randomUUID()]) {
        expect(await session.history(promptId)).toEqual({});
      }
    });

    it("forgets a prompt whose record is deleted from the history", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const kept = await finishedPrompt(session, socket);
      const forgotten = await finishedPrompt(session, socket);
      expect((await session.http.post("/api/history", { delete: [forgotten] })).status).toBe(200);
      expect(await session.history(forgotten)).toEqual({});
      expect(await session.stateOf(forgotten)).toBe("unknown");
      expect(await session.stateOf(kept)).toBe("completed");
    });

    // Trap 12. The route is new in 0.26.0; without it the server answers 404 or 405 and nothing happens.
    it("cancels one prompt atomically where the jobs route offers it, else leaves it alone", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const finished = await finishedPrompt(session, socket);
      const running = await session.startSlow(socket);
      const pending = await session.submit(session.txt2img(), { socket });

      const reply = await cancelJob(session, pending);
      if (!reply.isJson) {
        expect([404, 405]).toContain(reply.status);
        expect(await session.queue()).toEqual({ running: [running], pending: [pending] });
        return;
      }
      expect(cancelledIn(reply)).toBe(true);
      expect(await session.queue()).toEqual({ running: [running], pending: [] });
      expect(cancelledIn(await cancelJob(session, finished))).toBe(false);
      expect(cancelledIn(await cancelJob(session, randomUUID()))).toBe(false);
      await expectStillSampling(session, socket, running);
      expect(cancelledIn(await cancelJob(session, running))).toBe(true);
      await socket.whenEnded(running);
      expect(lastMessage(await session.record(running))).toBe("execution_interrupted");
    });
  });
}

async function finishedPrompt(session: Session, socket: ComfySocket): Promise<string> {
  return (await session.run(session.txt2img(), { socket })).promptId;
}

/** Waits for two more steps, the first of which may have been under way already, and finds the prompt running. */
async function expectStillSampling(session: Session, socket: ComfySocket, promptId: string): Promise<void> {
  const reached = ofType(socket.framesOf(promptId), "progress").at(-1)?.data.value ?? 0;
  await socket.when("progress", ({ data }) => data.prompt_id === promptId && data.value >= reached + 2);
  expect((await session.queue()).running).toEqual([promptId]);
}

function cancelJob(session: Session, promptId: string): Promise<Reply> {
  return session.http.post(`/api/jobs/${promptId}/cancel`, {});
}

function cancelledIn(reply: Reply): boolean {
  expect(reply.status).toBe(200);
  return reply.json(z.object({ cancelled: z.boolean() })).cancelled;
}
