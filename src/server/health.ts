import { once } from "node:events";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.js";
import type { Routes } from "./rpc-handler.ts";

/** Where the health service learns whether the service can do its work. */
export interface HealthSource {
  current(): boolean;
  /** Yields what `current` says at once, then again on every change. Ends, without error, when `signal` is aborted. */
  watch(signal: AbortSignal): AsyncIterable<boolean>;
}

export interface HealthOptions {
  readonly source: HealthSource;
  /** Full names of the services that follow `source`. So does the empty name, which stands for the server. */
  readonly following: readonly string[];
  /** Full names of the services that work as long as the process does. */
  readonly constant: readonly string[];
  /** Aborted when the server begins to drain: from then on nothing is serving, and watchers are told and let go. */
  readonly draining: AbortSignal;
}

/** Serves `grpc.health.v1.Health` (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). */
export function createHealth(options: HealthOptions): Routes {
  const { source, draining } = options;
  const following = new Set(["", ...options.following]);
  const constant = new Set(options.constant);
  const known = [...following, ...constant];

  const statusOf = (service: string): ServingStatus => {
    if (!following.has(service) && !constant.has(service)) return ServingStatus.SERVICE_UNKNOWN;
    return servingIf(!draining.aborted && (constant.has(service) || source.current()));
  };

  async function* changesOf(service: string, signal: AbortSignal): AsyncGenerator<ServingStatus> {
    if (following.has(service)) {
      for await (const serving of source.watch(signal)) {
        if (!draining.aborted) yield servingIf(serving);
      }
    } else {
      yield statusOf(service);
      if (!signal.aborted) await once(signal, "abort");
    }
    yield statusOf(service);
  }

  return (router) => {
    router.service(Health, {
      check: ({ service }) => {
        const status = statusOf(service);
        if (status === ServingStatus.SERVICE_UNKNOWN) {
          throw new ConnectError(
            `unknown service; known are ${known.filter(Boolean).join(", ")}`,
            Code.NotFound,
          );
        }
        return { status };
      },
      list: () => ({
        statuses: Object.fromEntries(known.map((service) => [service, { status: statusOf(service) }])),
      }),
      async *watch({ service }, context: HandlerContext) {
        let last: ServingStatus | undefined;
        for await (const status of changesOf(service, AbortSignal.any([context.signal, draining]))) {
          if (status !== last) yield { status };
          last = status;
        }
      },
    });
  };
}

function servingIf(serving: boolean): ServingStatus {
  return serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
}
