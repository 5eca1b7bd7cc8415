import type { Logger } from "../../telemetry/logger.ts";
import { BusSubscribers } from "../bus-subscribers.ts";
import type { EventBus } from "../event-bus.ts";

export interface InProcessEventBusDependencies {
  readonly logger: Logger;
}

/** Makes the bus of a service that is one process alone. It loses nothing, so there is never a gap. */
export function createInProcessEventBus({ logger }: InProcessEventBusDependencies): EventBus {
  const subscribers = new BusSubscribers(logger);
  return {
    publish: (message) => subscribers.deliver(message),
    subscribe: (topic, subscriber) => subscribers.add(topic, subscriber),
    [Symbol.asyncDispose]: async () => subscribers.clear(),
  };
}
