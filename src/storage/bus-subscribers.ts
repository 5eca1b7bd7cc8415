import type { Logger } from "../telemetry/logger.ts";
import type { BusMessage, BusSubscriber, BusTopic } from "./event-bus.ts";

/** Those who have subscribed on this replica. A message costs nothing for those of other topics. */
export class BusSubscribers {
  readonly #logger: Logger;
  readonly #ofWork = new Set<Subscription>();
  readonly #ofJobs = new Map<string, Set<Subscription>>();
  readonly #undelivered: BusMessage[] = [];
  #isDelivering = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(topic: BusTopic, subscriber: BusSubscriber): Disposable {
    const subscription: Subscription = { subscriber }; // an object of its own: one may subscribe twice
    const subscriptions = this.#open(topic);
    subscriptions.add(subscription);
    return {
      [Symbol.dispose]: () => {
        subscriptions.delete(subscription);
        if (topic !== "work" && subscriptions.size === 0 && this.#ofJobs.get(topic.jobId) === subscriptions) {
          this.#ofJobs.delete(topic.jobId);
        }
      },
    };
  }

  /** Whether anybody hears of this job. */
  has(jobId: string): boolean {
    return this.#ofJobs.has(jobId);
  }

  /**
   * Calls those whom the message is for. One that is delivered by a subscriber, while it is called, comes after the
   * message that it was called for, so that all see the same order.
   */
  deliver(message: BusMessage): void {
    this.#undelivered.push(message);
    if (this.#isDelivering) {
      return;
    }
    this.#isDelivering = true;
    try {
      for (let next = this.#undelivered.shift(); next; next = this.#undelivered.shift()) {
        const delivered = next;
        this.#call(this.#for(delivered), (subscriber) => subscriber.onMessage(delivered));
      }
    } finally {
      this.#isDelivering = false;
    }
  }

  /** Tells everybody that messages may have been missed. */
  gap(): void {
    for (const subscriptions of [this.#ofWork, ...this.#ofJobs.values()]) {
      this.#call(subscriptions, (subscriber) => subscriber.onGap());
    }
  }

  clear(): void {
    this.#ofWork.clear();
    for (const subscriptions of this.#ofJobs.values()) {
      subscriptions.clear();
    }
    this.#ofJobs.clear();
  }

  #open(topic: BusTopic): Set<Subscription> {
    if (topic === "work") {
      return this.#ofWork;
    }
    const subscriptions = this.#ofJobs.get(topic.jobId) ?? new Set();
    this.#ofJobs.set(topic.jobId, subscriptions);
    return subscriptions;
  }

  #for(message: BusMessage): ReadonlySet<Subscription> {
    switch (message.type) {
      case "recorded":
      case "passing":
        return this.#ofJobs.get(message.jobId) ?? nobody;
      case "queued":
      case "stopRequested":
      case "leaseReleased":
        return this.#ofWork;
    }
  }

  #call(subscriptions: ReadonlySet<Subscription>, call: (subscriber: BusSubscriber) => void): void {
    for (const subscription of [...subscriptions]) {
      if (!subscriptions.has(subscription)) {
        continue; // disposed of by one before it
      }
      try {
        call(subscription.subscriber);
      } catch (error) {
        // The mistake of one must not keep the others from hearing of it, nor the publisher from going on.
        this.#logger.error({ err: error }, "a subscriber of the event bus failed");
      }
    }
  }
}

interface Subscription {
  readonly subscriber: BusSubscriber;
}

const nobody: ReadonlySet<Subscription> = new Set();
