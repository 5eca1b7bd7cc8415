import { randomBytes } from "node:crypto";
import { ServiceError } from "../../domain/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { BusSubscribers } from "../bus-subscribers.ts";
import type { EventBus } from "../event-bus.ts";
import { Receiver } from "./receiver.ts";
import { Sender } from "./sender.ts";

export interface PostgresEventBusOptions {
  readonly logger: Logger;
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number;
  /** How often each connection is asked whether it is alive, in milliseconds. Default: 10 000. */
  readonly keepAliveMs?: number;
  /** A connection that does not answer in so many milliseconds is given up. Default: 5 000. */
  readonly timeoutMs?: number;
  /** Most that waits for being sent, in bytes. Default: 16 MiB. */
  readonly maxWaitingBytes?: number;
}

/**
 * Connects the replicas that share a PostgreSQL database, by its notifications. Takes two connections of its own, and
 * makes them anew when they are lost; what was missed meanwhile comes to a `gap`. Between replicas go only hints:
 * `recorded` messages arrive without events.
 *
 * Disposing of it sends what still waits, for which it may take `timeoutMs`.
 *
 * @throws ServiceError `STORE_UNAVAILABLE` if the database cannot be reached now, or does not allow it
 */
export async function openPostgresEventBus(
  url: string,
  {
    logger,
    random,
    keepAliveMs = 10_000,
    timeoutMs = 5_000,
    maxWaitingBytes = 16 << 20,
  }: PostgresEventBusOptions,
  signal: AbortSignal,
): Promise<EventBus> {
  const subscribers = new BusSubscribers(logger);
  const name = randomBytes(9).toString("base64url");
  const shared = { url, name, logger, random, keepAliveMs, timeoutMs };
  await using stack = new AsyncDisposableStack();
  try {
    const sender = stack.use(await Sender.open({ ...shared, maxWaitingBytes }, signal));
    stack.use(await Receiver.open({ ...shared, subscribers }, signal));
    stack.defer(() => subscribers.clear());
    const open = stack.move();
    return {
      publish(message) {
        sender.send(message);
        subscribers.deliver(message);
      },
      subscribe: (topic, subscriber) => subscribers.add(topic, subscriber),
      [Symbol.asyncDispose]: () => open.disposeAsync(),
    };
  } catch (error) {
    signal.throwIfAborted();
    throw new ServiceError(
      "STORE_UNAVAILABLE",
      "the database of the event bus cannot be used",
      {},
      {
        cause: error,
      },
    );
  }
}
