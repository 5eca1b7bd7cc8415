import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeEventBus, type EventBusPair } from "../../../test/contract/event-bus.ts";
import { previewEvent, progressEvent, recorded } from "../../../test/support/bus-events.ts";
import { HeardMessages } from "../../../test/support/heard-messages.ts";
import { collectLog } from "../../../test/support/log-lines.ts";
import {
  hasOwnPostgres,
  hasPostgres,
  startOwnPostgres,
  startTestPostgres,
} from "../../../test/support/postgres.ts";
import { queryPostgres } from "../../../test/support/postgres-query.ts";
import { startTcpRelay } from "../../../test/support/tcp-relay.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { createLogger } from "../../telemetry/logger.ts";
import type { BusMessage } from "../event-bus.ts";
import { openPostgresEventBus } from "./postgres-event-bus.ts";

const never = new AbortController().signal;
const options = { logger: createLogger({ level: "silent" }), random: () => 0 };
const jobId = "6f0ad1a7-3f0f-4a55-9d3c-6dd6cc3f7d1d";

describe.skipIf(!hasPostgres)("PostgresEventBus", () => {
  describeEventBus("PostgresEventBus", openPair);

  it("opens at many replicas at the same moment", async () => {
    await using database = await startTestPostgres();
    await using stack = new AsyncDisposableStack();
    const opening = Array.from({ length: 5 }, () => openPostgresEventBus(database.url, options, never));
    for (const bus of await Promise.all(opening)) {
      stack.use(bus);
    }
  });

  it("sends no events, only that they were written", async () => {
    await using pair = await openPair();
    const heard = new HeardMessages();
    using _ = pair.b.subscribe({ jobId }, heard);
    const queued = { type: "queued", jobsAhead: 0, attempt: 1 } as const;
    pair.a.publish({
      type: "recorded",
      jobId,
      lastSequence: 2n,
      events: [{ sequence: 2n, time: new Date(), data: queued }],
    });
    await waitUntil(() => heard.knows(2n), "it has arrived");
    expect(heard.messages).toEqual([recorded(jobId, 2n)]);
  });

  it("brings the newest preview of each job, whole and in its place", async () => {
    await using pair = await openPair();
    const heard = new HeardMessages();
    using _ = pair.b.subscribe({ jobId }, heard);
    for (let step = 1; step <= 20; step++) {
      pair.a.publish({ type: "passing", jobId, event: previewEvent(step, 90_000) });
      pair.a.publish({ type: "passing", jobId, event: progressEvent(step) });
      pair.a.publish({ type: "passing", jobId: "another", event: previewEvent(step, 90_000) });
    }
    await waitUntil(() => heard.messages.some((message) => stepOf(message) === 20), "the last has arrived");
    await waitUntil(() => progressSteps(heard).at(-1) === 20, "all have arrived");
    expect(heard.messages.map(stepOf)).toEqual(heard.messages.map(stepOf).toSorted((x, y) => x - y));
    const previews = heard.messages.flatMap(previewOf);
    expect(previews.at(-1)?.step).toBe(20);
    for (const { step, data } of previews) {
      expect(Buffer.from(data).equals(Buffer.alloc(90_000, step))).toBe(true);
    }
    expect(progressSteps(heard)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  it("lets nothing that lasts wait for a preview", async () => {
    await using pair = await openPair();
    const heard = new HeardMessages();
    using _ = pair.b.subscribe({ jobId }, heard);
    for (let sequence = 1; sequence <= 200; sequence++) {
      pair.a.publish({ type: "passing", jobId, event: previewEvent(sequence, 50_000) });
      pair.a.publish(recorded(jobId, BigInt(sequence)));
    }
    await waitUntil(() => heard.knows(200n), "all have arrived");
    expect(heard.missing(1n, 200n)).toEqual([]);
    // Time for a preview that is still being read to come too late.
    pair.a.publish({ type: "passing", jobId, event: previewEvent(201, 100) });
    await waitUntil(
      () => heard.messages.some((message) => stepOf(message) === 201),
      "the last preview has arrived",
    );
    const places = heard.messages.map((message) =>
      message.type === "recorded" ? Number(message.lastSequence) : stepOf(message) - 0.5,
    );
    expect(places).toEqual(places.toSorted((x, y) => x - y));
  });

  it("reads no previews of jobs that nobody watches, and removes those that are old", async () => {
    await using database = await startTestPostgres();
    await using bus = await openPostgresEventBus(database.url, { ...options, keepAliveMs: 20 }, never);
    bus.publish({ type: "passing", jobId, event: previewEvent(1, 1_000) });
    const count = async (sql: string) => (await queryPostgres(database.url, sql)).length;
    await waitUntil(async () => (await count("SELECT FROM comfyrpc_previews")) === 1, "it is kept");
    await queryPostgres(database.url, "UPDATE comfyrpc_previews SET update_time = now() - interval '2 min'");
    await waitUntil(async () => (await count("SELECT FROM comfyrpc_previews")) === 0, "it is removed");
  });

  it("ignores what is not its own on the channel", async () => {
    await using pair = await openPair();
    const heard = new HeardMessages();
    using _1 = pair.b.subscribe({ jobId }, heard);
    using _2 = pair.b.subscribe("work", heard);
    const garbage = [
      "",
      "hello",
      "hello {",
      `x {"type":"recorded","jobId":"${jobId}"}`,
      `x {"type":"recorded","jobId":"${jobId}","lastSequence":"-1"}`,
      `x {"type":"recorded","jobId":["${jobId}"],"lastSequence":"1"}`,
      `x {"type":"passing","jobId":"${jobId}","event":{"sequence":"1","time":0,"data":{"type":"x"}}}`,
      'x {"type":"__proto__"}',
      "x null",
    ];
    for (const payload of garbage) {
      await queryPostgres(pair.url, "SELECT pg_notify('comfyrpc_events', $1)", [payload]);
    }
    pair.a.publish(recorded(jobId, 1n));
    await waitUntil(() => heard.knows(1n), "what comes after has arrived");
    expect(heard.messages).toEqual([recorded(jobId, 1n)]);
    expect(heard.gapCount).toBe(0);
  });

  it("tells of a gap when it was deaf, and goes on", async () => {
    await using pair = await openPair();
    const heard = new HeardMessages();
    using _ = pair.b.subscribe({ jobId }, heard);
    await cutConnections(pair.url, "incoming");
    await waitUntil(() => heard.gapCount > 0, "there is a gap");
    pair.a.publish(recorded(jobId, 1n));
    await waitUntil(() => heard.knows(1n), "messages come again");
  });

  it("tells the others of a gap when it could not send what lasts", async () => {
    await using pair = await openPair();
    let written = 0n;
    const heard = new HeardMessages(() => written);
    using _ = pair.b.subscribe({ jobId }, heard);
    await cutConnections(pair.url, "outgoing");
    for (let i = 0; i < 100; i++) {
      pair.a.publish(recorded(jobId, ++written));
      await new Promise(setImmediate); // so that it is noticed somewhere between
    }
    await waitUntil(() => heard.knows(written), "the last is known");
    expect(heard.missing(1n, written)).toEqual([]);
    expect(heard.gapCount).toBeGreaterThan(0);
  });

  it("tells the others of a gap if a message is too long to be sent", async () => {
    await using pair = await openPair();
    const heard = new HeardMessages();
    using _ = pair.b.subscribe("work", heard);
    pair.a.publish({ type: "leaseReleased", backend: "x".repeat(10_000) });
    pair.a.publish({ type: "queued" });
    await waitUntil(() => heard.messages.length === 1, "what comes after has arrived");
    expect(heard.messages).toEqual([{ type: "queued" }]);
    expect(heard.gapCount).toBe(1);
  });

  it("notices a connection that has gone silent", async () => {
    await using database = await startTestPostgres();
    const { hostname, port } = new URL(database.url);
    await using relay = await startTcpRelay(hostname, Number(port || 5_432));
    const relayed = new URL(database.url);
    relayed.host = `127.0.0.1:${relay.port}`;
    const log = collectLog("warn");
    const impatient = { ...options, logger: log.logger, keepAliveMs: 50, timeoutMs: 300 };
    await using a = await openPostgresEventBus(database.url, options, never);
    await using b = await openPostgresEventBus(relayed.href, impatient, never);
    const [atA, atB] = [new HeardMessages(), new HeardMessages()];
    using _1 = a.subscribe({ jobId }, atA);
    using _2 = b.subscribe({ jobId }, atB);

    relay.fallSilent();
    b.publish(recorded(jobId, 1n));
    await waitUntil(() => log.entries.length === 2, "both connections are given up");
    relay.speak();
    await waitUntil(() => atB.gapCount > 0, "b knows that it was deaf");
    await waitUntil(() => atA.gapCount > 0, "a knows that something of b may have been lost");
    a.publish(recorded(jobId, 2n));
    await waitUntil(() => atB.knows(2n), "b hears again");
    b.publish(recorded(jobId, 3n));
    await waitUntil(() => atA.knows(3n), "b is heard again");
  });

  it("sends what still waits when it is disposed of, and leaves no connection", async () => {
    await using database = await startTestPostgres();
    const heard = new HeardMessages();
    {
      await using listener = await openPostgresEventBus(database.url, options, never);
      using _ = listener.subscribe({ jobId }, heard);
      const leaving = await openPostgresEventBus(database.url, options, never);
      for (let sequence = 1n; sequence <= 3_000n; sequence++) {
        leaving.publish(recorded(jobId, sequence));
      }
      await leaving[Symbol.asyncDispose]();
      await waitUntil(() => heard.knows(3_000n), "the last message has arrived");
      expect(heard.missing(1n, 3_000n)).toEqual([]);
    }
    await waitUntil(async () => (await connectionsOf(database.url)).length === 0, "no connection is left");
  });

  it("says why if it cannot be opened, and leaves nothing behind", async () => {
    await using database = await startTestPostgres();
    const wrong = new URL(database.url);
    wrong.username = "nobody_of_that_name";
    await expect(openPostgresEventBus(wrong.href, options, never)).rejects.toMatchObject({
      reason: "STORE_UNAVAILABLE",
    });
    const aborted = AbortSignal.abort(new Error("enough"));
    await expect(openPostgresEventBus(database.url, options, aborted)).rejects.toThrow("enough");
    await waitUntil(async () => (await connectionsOf(database.url)).length === 0, "no connection is left");
  });

  it("lets a subscriber miss nothing without a gap, whatever happens", async () => {
    await using pair = await openPair();
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 15 }), async (steps) => {
        const topic = { jobId: `job-${++runs}` };
        let written = 0n;
        const readers: { readonly first: bigint; readonly heard: HeardMessages }[] = [];
        using subscriptions = new DisposableStack();
        const subscribe = () => {
          const heard = new HeardMessages(() => written);
          subscriptions.use(pair.b.subscribe(topic, heard));
          readers.push({ first: written + 1n, heard }); // who subscribes reads the store then
        };
        const publish = (count: number) => {
          for (let i = 0; i < count; i++) {
            pair.a.publish(recorded(topic.jobId, ++written));
          }
        };
        subscribe();
        for (const each of steps) {
          if (typeof each === "number") {
            publish(each);
          } else if (each === "subscribe") {
            subscribe();
          } else if (each === "preview") {
            pair.a.publish({ type: "passing", ...topic, event: previewEvent(1, 20_000) });
          } else if (each === "breathe") {
            await new Promise(setImmediate);
          } else {
            await cutConnections(pair.url, each);
          }
        }
        publish(1);
        for (const { first, heard } of readers) {
          await waitUntil(() => heard.knows(written), "the last is known");
          expect(heard.missing(first, written)).toEqual([]);
          expect(heard.sequences).toEqual(heard.sequences.toSorted((x, y) => Number(x - y)));
        }
      }),
      { numRuns: 25 },
    );
  });
});

/** What may happen to a bus: so many messages are published, or one of the others. */
const step = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 400 }) },
  { weight: 8, arbitrary: fc.constantFrom("subscribe", "preview", "breathe", "incoming", "outgoing") },
);

describe.skipIf(!hasOwnPostgres)("PostgresEventBus and a server of its own", () => {
  it("comes back when the server was restarted, or down for a while, and says so once", async () => {
    await using server = await startOwnPostgres();
    const log = collectLog("info");
    await using a = await openPostgresEventBus(server.url, { ...options, logger: log.logger }, never);
    await using b = await openPostgresEventBus(server.url, options, never);
    let written = 0n;
    const [atA, atB] = [new HeardMessages(() => written), new HeardMessages(() => written)];
    using _1 = a.subscribe({ jobId }, atA);
    using _2 = b.subscribe({ jobId }, atB);

    await server.restart();
    a.publish(recorded(jobId, ++written));
    await waitUntil(() => atB.knows(1n), "the message is known in spite of a restart");

    await server.stop();
    a.publish(recorded(jobId, ++written));
    expect(atA.sequences).toEqual([1n, 2n]);
    await server.start();
    await waitUntil(() => atB.knows(2n), "the message is known in spite of the outage");
    await waitUntil(() => {
      b.publish(recorded(jobId, ++written));
      return atA.sequences.includes(written - 1n);
    }, "messages come again");
    expect(log.entries.filter(({ level }) => level === 40).length).toBeLessThanOrEqual(4);
    expect(log.text).not.toContain(new URL(server.url).password);
  });
});

interface PostgresPair extends EventBusPair {
  readonly url: string;
}

async function openPair(): Promise<PostgresPair> {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await startTestPostgres());
  const a = stack.use(await openPostgresEventBus(url, options, never));
  const b = stack.use(await openPostgresEventBus(url, options, never));
  const open = stack.move();
  return { url, a, b, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

function connectionsOf(url: string): Promise<readonly unknown[]> {
  return queryPostgres(
    url,
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
  );
}

/** Cuts the connections of all buses. */
async function cutConnections(url: string, which: "incoming" | "outgoing"): Promise<void> {
  await queryPostgres(
    url,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = $1`,
    [`comfyrpc ${which} events`],
  );
}

function previewOf(message: BusMessage) {
  return message.type === "passing" && message.event.data.type === "preview" ? [message.event.data] : [];
}

function stepOf(message: BusMessage): number {
  return message.type === "passing" && message.event.data.type !== "place" ? message.event.data.step : 0;
}

function progressSteps({ messages }: HeardMessages): readonly number[] {
  return messages.filter((message) => previewOf(message).length === 0).map(stepOf);
}
