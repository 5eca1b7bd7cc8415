import { benchCalls } from "./calls.ts";
import { benchDownloads } from "./downloads.ts";
import { benchJobs } from "./jobs.ts";
import { benchWatchers } from "./watchers.ts";

/**
 * Measures the service beside something else in the same run, and prints figures and ratios; nothing is asserted. Engines,
 * services and databases are processes of their own. `npm run bench jobs` runs only that part.
 */
const parts: Readonly<Record<string, () => Promise<void>>> = {
  calls: benchCalls,
  jobs: benchJobs,
  downloads: benchDownloads,
  watchers: benchWatchers,
};

const wanted = process.argv.slice(2);
for (const [name, run] of Object.entries(parts)) {
  if (wanted.length === 0 || wanted.includes(name)) {
    await run();
  }
}
