import { parseArgs } from "node:util";
import { runChaos } from "../test/chaos/run-chaos.ts";

/** Runs jobs while everything around them breaks, and prints what became of them. Ends with 1 if anything was wrong. */
const { values } = parseArgs({
  options: {
    jobs: { type: "string", default: "240" },
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "6" },
  },
});

const report = await runChaos({
  jobCount: Number(values.jobs),
  callerCount: 24,
  stepMs: 25,
  stepCount: 12,
  seed: Number(values.seed),
  boundMs: Number(values.minutes) * 60_000,
  onNews: (news) => console.log(news),
});

console.log("\nTwo replicas, two engines, PostgreSQL, an S3 store; what was done to them:");
console.table(report.harm);
console.table({
  "jobs accepted": report.jobCount,
  "jobs succeeded": report.succeededCount,
  "jobs that gave up, with a reason": report.failed.length,
  "jobs lost": report.lost.length,
  "jobs stuck": report.stuck.length,
  "jobs answered wrongly": report.wrong.length,
  "runs on the engines": report.executionCount,
  "jobs that were run again": report.repeatedJobCount,
  "runs though the first result could be had": report.needlessRuns.length,
  "time to the last job's end [s]": Math.round(report.timeToLastEndMs / 100) / 10,
});
const problems = [...report.lost, ...report.stuck, ...report.wrong, ...report.needlessRuns];
for (const line of [...problems, ...report.failed]) {
  console.log(line);
}
process.exitCode = problems.length === 0 ? 0 : 1;
