import { describeEventBus } from "../../../test/contract/event-bus.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { createInProcessEventBus } from "./in-process-event-bus.ts";

const logger = createLogger({ level: "silent" });

describeEventBus("InProcessEventBus", async () => {
  const bus = createInProcessEventBus({ logger });
  return { a: bus, b: bus, [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose]() };
});
