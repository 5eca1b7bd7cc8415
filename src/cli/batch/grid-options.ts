import { Option } from "commander";
import { z } from "zod";
import { parseNames, parseNumbers, parseSeeds, parseWholeNumbers } from "../list-values.ts";
import { repeatableList } from "../option-groups.ts";

/** The options that take several values for a field, each of which multiplies the jobs. */
export function gridOptions(): Option[] {
  return [
    new Option("--steps <n,…>", "sampling steps, 1 to 150; several as 10,20 (default: 20)").argParser(
      repeatableList(parseWholeNumbers),
    ),
    new Option("--seeds <n,…>", "a job for each of several seeds, such as 1,2,3 or 1-4")
      .argParser(repeatableList(parseSeeds))
      .conflicts("seed"),
    new Option("--cfgs <n,…>", "a job for each of several values of --cfg, such as 5,7.5")
      .argParser(repeatableList(parseNumbers))
      .conflicts("cfg"),
    new Option("--samplers <name,…>", "a job for each of several samplers, such as euler,ddim")
      .argParser(repeatableList(parseNames))
      .conflicts("sampler"),
  ];
}

/** What {@link gridOptions} leave in the options of a command. */
export const GridFlags = z.object({
  steps: z.array(z.number()).default([]),
  seeds: z.array(z.bigint()).default([]),
  cfgs: z.array(z.number()).default([]),
  samplers: z.array(z.string()).default([]),
});

export type GridFlags = z.infer<typeof GridFlags>;
