import { findPostgresBinaries, startPostgresServer } from "../test/support/postgres-server.ts";
import { startEngineProcess, startServiceProcess } from "./child-process.ts";
import { openDirectClient } from "./direct-client.ts";
import { median, nextSeed, round, throughput } from "./measure.ts";
import { connect } from "./service-clients.ts";

const rounds = 4;
const jobsPerRound = 200;
const concurrency = 16;

/**
 * Jobs a second through submit, run and done: each caller submits a job, watches it to its end, and goes on with the
 * next. On both kinds of job store, beside a direct client of the same engine, which takes no time for a step.
 */
export async function benchJobs(): Promise<void> {
  await using engine = await startEngineProcess();
  await using direct = await openDirectClient(engine.url);
  await using stack = new AsyncDisposableStack();
  const targets: Record<string, (count: number) => Promise<number>> = {
    "direct client": (count) => throughput(direct, count, concurrency, nextSeed),
  };

  const sqlite = stack.use(await startServiceProcess({ COMFYUI_URL: `sqlite=${engine.url}` }));
  targets.SQLite = (count) => jobsPerSecond(sqlite.url, count);
  const binaries = await findPostgresBinaries();
  if (binaries === undefined) {
    console.log("PostgreSQL is not installed: jobs are measured on SQLite alone");
  } else {
    const database = stack.use(await startPostgresServer(binaries));
    const env = { COMFYUI_URL: `postgres=${engine.url}`, DATABASE_URL: database.url };
    const postgres = stack.use(await startServiceProcess(env));
    targets.PostgreSQL = (count) => jobsPerSecond(postgres.url, count);
  }

  const perSecond = new Map<string, number[]>(Object.keys(targets).map((name) => [name, []]));
  for (const [name, run] of Object.entries(targets)) {
    await run(100); // warm-up
    perSecond.get(name)?.splice(0);
  }
  for (let i = 0; i < rounds; i++) {
    for (const [name, run] of i % 2 === 0 ? Object.entries(targets) : Object.entries(targets).reverse()) {
      perSecond.get(name)?.push(await run(jobsPerRound));
    }
  }
  const base = median(perSecond.get("direct client") ?? []);
  console.log(
    `SubmitJob, WatchJob to the end: ${concurrency} callers, ${rounds} rounds of ${jobsPerRound} jobs each`,
  );
  console.table(
    Object.fromEntries(
      [...perSecond].map(([name, values]) => [
        name,
        { "jobs/s": Math.round(median(values)), ratio: round(median(values) / base) },
      ]),
    ),
  );
}

async function jobsPerSecond(url: string, count: number): Promise<number> {
  using clients = connect(url);
  const { jobs } = clients;
  return await throughput(
    {
      async call(seed) {
        const spec = { prompt: "a red fox", widthPx: 64, heightPx: 64, steps: 4, seed };
        const { job } = await jobs.submitJob({ spec });
        const jobId = job?.jobId ?? "";
        let last: string | undefined;
        for await (const { event } of jobs.watchJob({ jobId })) {
          last = event?.event.case;
        }
        if (last !== "completed") {
          throw new Error(`a job ended by ${last}`);
        }
        return 0;
      },
    },
    count,
    concurrency,
    nextSeed,
  );
}
