import { describe, expect, it } from "vitest";
import type { BusMessage, EventBus } from "../../src/storage/event-bus.ts";
import { placeEvent, previewEvent, progressEvent, recorded } from "../support/bus-events.ts";
import { HeardMessages } from "../support/heard-messages.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Two buses as two replicas have them; the same one twice if there can be only one replica. */
export interface EventBusPair extends AsyncDisposable {
  readonly a: EventBus;
  readonly b: EventBus;
}

const jobId = "6f0ad1a7-3f0f-4a55-9d3c-6dd6cc3f7d1d";

/** What every EventBus promises. */
export function describeEventBus(name: string, openPair: () => Promise<EventBusPair>): void {
  describe(`${name} as an EventBus`, () => {
    it("tells both replicas of what happens to a job, in the order of publishing", async () => {
      await using pair = await openPair();
      const messages: BusMessage[] = [
        { type: "passing", jobId, event: placeEvent(2) },
        recorded(jobId, 3n),
        { type: "passing", jobId, event: progressEvent(1) },
        { type: "passing", jobId, event: progressEvent(2, 1_234.5) },
        recorded(jobId, 2n ** 62n),
      ];
      const [atA, atB] = [new HeardMessages(), new HeardMessages()];
      using _1 = pair.a.subscribe({ jobId }, atA);
      using _2 = pair.b.subscribe({ jobId }, atB);
      for (const message of messages) {
        pair.a.publish(message);
      }
      await waitUntil(() => atB.messages.length >= messages.length, "all have arrived");
      expect(atA.messages).toEqual(messages);
      expect(atB.messages).toEqual(messages);
    });

    it("tells both replicas of the work that there is", async () => {
      await using pair = await openPair();
      const messages: BusMessage[] = [
        { type: "queued" },
        { type: "stopRequested", jobId, backend: "gpu-1" },
        { type: "leaseReleased", backend: "gpu-1" },
      ];
      const [atA, atB] = [new HeardMessages(), new HeardMessages()];
      using _1 = pair.a.subscribe("work", atA);
      using _2 = pair.b.subscribe("work", atB);
      for (const message of messages) {
        pair.a.publish(message);
      }
      await waitUntil(() => atB.messages.length >= messages.length, "all have arrived");
      expect(atA.messages).toEqual(messages);
      expect(atB.messages).toEqual(messages);
    });

    it("brings previews to both replicas, before the progress that follows", async () => {
      await using pair = await openPair();
      const messages: BusMessage[] = [
        { type: "passing", jobId, event: previewEvent(1, 60_000) },
        { type: "passing", jobId, event: progressEvent(2) },
      ];
      const [atA, atB] = [new HeardMessages(), new HeardMessages()];
      using _1 = pair.a.subscribe({ jobId }, atA);
      using _2 = pair.b.subscribe({ jobId }, atB);
      for (const message of messages) {
        pair.a.publish(message);
      }
      await waitUntil(() => atB.messages.length >= messages.length, "both have arrived");
      expect(atA.messages).toEqual(messages);
      expect(atB.messages).toHaveLength(2);
      expect(atB.messages[0]).toMatchObject({ event: { data: { type: "preview", imageIndex: 1, step: 1 } } });
      expect(previewBytes(atB.messages[0])).toEqual(previewBytes(messages[0]));
      expect(atB.messages[1]).toEqual(messages[1]);
    });

    it("calls those of the same replica before publish returns, with the events", async () => {
      await using pair = await openPair();
      const heard = new HeardMessages();
      using _ = pair.a.subscribe({ jobId }, heard);
      const message: BusMessage = {
        type: "recorded",
        jobId,
        lastSequence: 2n,
        events: [{ sequence: 2n, time: new Date(0), data: { type: "queued", jobsAhead: 0, attempt: 1 } }],
      };
      pair.a.publish(message);
      expect(heard.messages).toEqual([message]);
    });

    it("tells each once, whoever published", async () => {
      await using pair = await openPair();
      const [atA, atB] = [new HeardMessages(), new HeardMessages()];
      using _1 = pair.a.subscribe({ jobId }, atA);
      using _2 = pair.b.subscribe({ jobId }, atB);
      pair.a.publish(recorded(jobId, 1n));
      await waitUntil(() => atB.knows(1n), "b has heard of it");
      pair.b.publish(recorded(jobId, 2n));
      await waitUntil(() => atA.knows(2n), "a has heard of it");
      pair.a.publish(recorded(jobId, 3n));
      await waitUntil(() => atB.knows(3n), "b has heard of it");
      expect(atA.sequences).toEqual([1n, 2n, 3n]);
      expect(atB.sequences).toEqual([1n, 2n, 3n]);
    });

    it("tells nobody of other jobs or of work, and nobody who has gone", async () => {
      await using pair = await openPair();
      const [ofOther, ofWork, gone, last] = [
        new HeardMessages(),
        new HeardMessages(),
        new HeardMessages(),
        new HeardMessages(),
      ];
      using _1 = pair.b.subscribe({ jobId: "another" }, ofOther);
      using _2 = pair.b.subscribe("work", ofWork);
      pair.b.subscribe({ jobId }, gone)[Symbol.dispose]();
      using _3 = pair.b.subscribe({ jobId }, last);
      pair.a.publish(recorded(jobId, 1n));
      await waitUntil(() => last.knows(1n), "the last subscriber has heard of it");
      expect([ofOther, ofWork, gone].map(({ messages }) => messages)).toEqual([[], [], []]);
    });

    it("serves one who subscribes twice twice, until that is disposed of", async () => {
      await using pair = await openPair();
      const heard = new HeardMessages();
      using _ = pair.a.subscribe({ jobId }, heard);
      const again = pair.a.subscribe({ jobId }, heard);
      pair.a.publish(recorded(jobId, 1n));
      again[Symbol.dispose]();
      again[Symbol.dispose]();
      pair.a.publish(recorded(jobId, 2n));
      expect(heard.sequences).toEqual([1n, 1n, 2n]);
    });

    it("keeps the order for all if a subscriber publishes", async () => {
      await using pair = await openPair();
      const [atA, atB] = [new HeardMessages(), new HeardMessages()];
      const echo = {
        onMessage(message: BusMessage) {
          if (message.type === "recorded" && message.lastSequence === 1n) {
            pair.a.publish(recorded(jobId, 2n));
          }
        },
        onGap() {},
      };
      using _1 = pair.a.subscribe({ jobId }, echo);
      using _2 = pair.a.subscribe({ jobId }, atA);
      using _3 = pair.b.subscribe({ jobId }, atB);
      pair.a.publish(recorded(jobId, 1n));
      await waitUntil(() => atB.knows(2n), "b has heard of both");
      expect(atA.sequences).toEqual([1n, 2n]);
      expect(atB.sequences).toEqual([1n, 2n]);
    });

    it("goes on if a subscriber throws", async () => {
      await using pair = await openPair();
      const fail = () => {
        throw new Error("a mistake");
      };
      const heard = new HeardMessages();
      using _1 = pair.b.subscribe({ jobId }, { onMessage: fail, onGap: fail });
      using _2 = pair.b.subscribe({ jobId }, heard);
      pair.a.publish(recorded(jobId, 1n));
      await waitUntil(() => heard.knows(1n), "the other has heard of it");
    });

    it("brings a burst in order, or tells of a gap after what is missing", async () => {
      await using pair = await openPair();
      const count = 10_000n;
      let written = 0n;
      const heard = new HeardMessages(() => written);
      using _ = pair.b.subscribe({ jobId }, heard);
      while (written < count) {
        written++;
        pair.a.publish(recorded(jobId, written));
      }
      await waitUntil(() => heard.knows(count), "the last is known");
      expect(heard.missing(1n, count)).toEqual([]);
      expect(heard.sequences).toEqual(heard.sequences.toSorted((x, y) => Number(x - y)));
    });

    it("can be published to after it was disposed of", async () => {
      const pair = await openPair();
      await pair[Symbol.asyncDispose]();
      pair.a.publish({ type: "queued" });
    });
  });
}

function previewBytes(message: BusMessage | undefined): Buffer | undefined {
  return message?.type === "passing" && message.event.data.type === "preview"
    ? Buffer.from(message.event.data.data)
    : undefined;
}
