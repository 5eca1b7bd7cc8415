import { z } from "zod";

/** What an engine says of its prompts, by their ids. */
export interface EngineAccount {
  readonly running: readonly string[];
  readonly pending: readonly string[];
  /** The event that each prompt of its history ended with. */
  readonly ended: Readonly<Record<string, string>>;
}

const queue = z.object({
  queue_running: z.array(z.tuple([z.number(), z.string()]).rest(z.unknown())),
  queue_pending: z.array(z.tuple([z.number(), z.string()]).rest(z.unknown())),
});

const history = z.record(
  z.string(),
  z.object({ status: z.object({ messages: z.array(z.tuple([z.string()]).rest(z.unknown())) }) }),
);

/** Asks an engine for its queue, and then for its history, so that a prompt on its way from one to the other is seen. */
export async function askEngine(engineUrl: string): Promise<EngineAccount> {
  const { queue_running, queue_pending } = queue.parse(await getJson(`${engineUrl}/api/queue`));
  const records = history.parse(await getJson(`${engineUrl}/api/history`));
  return {
    running: queue_running.map(([, id]) => id),
    pending: queue_pending.map(([, id]) => id),
    ended: Object.fromEntries(
      Object.entries(records).map(([id, { status }]) => [id, status.messages.at(-1)?.[0] ?? ""]),
    ),
  };
}

async function getJson(url: string): Promise<unknown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  return await response.json();
}
