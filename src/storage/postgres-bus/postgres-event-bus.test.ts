import { describe } from "vitest";
import { describeEventBus } from "../../../test/contract/event-bus.ts";
import { hasPostgres, startTestPostgres } from "../../../test/support/postgres.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { openPostgresEventBus } from "./postgres-event-bus.ts";

const never = new AbortController().signal;
const options = { logger: createLogger({ level: "silent" }), random: Math.random };

describe.skipIf(!hasPostgres)("PostgreSQL", () => {
  describeEventBus("PostgresEventBus", async () => {
    await using stack = new AsyncDisposableStack();
    const { url } = stack.use(await startTestPostgres());
    const a = stack.use(await openPostgresEventBus(url, options, never));
    const b = stack.use(await openPostgresEventBus(url, options, never));
    const open = stack.move();
    return { a, b, [Symbol.asyncDispose]: () => open.disposeAsync() };
  });
});
