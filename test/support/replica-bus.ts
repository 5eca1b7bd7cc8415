import type { BusMessage, BusSubscriber, BusTopic, EventBus } from "../../src/storage/event-bus.ts";

/**
 * One replica's end of a bus that several replicas of one process share. As over a network, only what the replica
 * publishes itself comes with the events; and its line can be cut, after which there is a gap.
 */
export class ReplicaBus implements EventBus {
  readonly #shared: EventBus;
  readonly #own = new WeakSet<BusMessage>();
  readonly #subscribers = new Set<BusSubscriber>();
  #isCut = false;
  /** How many messages did not come through. */
  droppedCount = 0;

  constructor(shared: EventBus) {
    this.#shared = shared;
  }

  publish(message: BusMessage): void {
    this.#own.add(message);
    this.#shared.publish(message);
  }

  subscribe(topic: BusTopic, subscriber: BusSubscriber): Disposable {
    const subscription = this.#shared.subscribe(topic, {
      onMessage: (message) => this.#deliver(message, subscriber),
      onGap: () => subscriber.onGap(),
    });
    this.#subscribers.add(subscriber);
    return {
      [Symbol.dispose]: () => {
        this.#subscribers.delete(subscriber);
        subscription[Symbol.dispose]();
      },
    };
  }

  /** Nothing comes from other replicas until {@link mend}. */
  cut(): void {
    this.#isCut = true;
  }

  /** The line is good again, and everybody is told that messages may have been missed. */
  mend(): void {
    this.#isCut = false;
    for (const subscriber of this.#subscribers) {
      subscriber.onGap();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #deliver(message: BusMessage, subscriber: BusSubscriber): void {
    if (this.#own.has(message)) {
      subscriber.onMessage(message);
    } else if (this.#isCut) {
      this.droppedCount += 1;
    } else if (message.type === "recorded") {
      const { events: _, ...rest } = message;
      subscriber.onMessage(rest);
    } else {
      subscriber.onMessage(message);
    }
  }
}
