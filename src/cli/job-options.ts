import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Option } from "commander";
import { z } from "zod";
import type { JobOptionsSchema } from "../../gen/comfyrpc/v1/job_pb.js";
import { parseLabel } from "./label-value.ts";
import { repeatable } from "./option-groups.ts";
import { parseDuration } from "./time-values.ts";

/** What a request for a job says beside what to draw. */
export interface JobRequest {
  /** Empty for a request that is never repeated. */
  readonly requestId: string;
  readonly options: MessageInitShape<typeof JobOptionsSchema> | undefined;
}

/** The options of every command that makes jobs, to be read by {@link JobFlags}. */
export function jobOptions(): Option[] {
  return [
    new Option("--request-id <id>", "name of this request; repeating it makes no second job"),
    labelOption("tie a label to the job; may be given again"),
    new Option("--note <text>", "say what it is for"),
    new Option("--retention <time>", "keep it this long after its end, such as 90m or 7d").argParser(
      parseDuration,
    ),
    new Option("--reuse", "take the images of an earlier job that did the same, if kept; needs a seed"),
  ];
}

/** `--detach`, for commands that wait for their job. */
export function detachOption(): Option {
  return new Option("--detach", "let the job go on when this command is stopped or cut off");
}

/** `--label name=value`, which may be given again. */
export function labelOption(description: string): Option {
  return new Option("-l, --label <name=value>", description).argParser(repeatable(parseLabel));
}

/** What {@link jobOptions} and {@link detachOption} leave in the options of a command. */
export const JobFlags = z.object({
  requestId: z.string().default(""),
  label: z.array(z.tuple([z.string(), z.string()])).default([]),
  note: z.string().default(""),
  retention: z.number().optional(),
  reuse: z.boolean().default(false),
  detach: z.boolean().default(false),
});

export type JobFlags = z.infer<typeof JobFlags>;

/** The part of a request that is about the job. */
export function toJobRequest({ requestId, label, note, retention }: JobFlags): JobRequest {
  const isPlain = label.length === 0 && note === "" && retention === undefined;
  return {
    requestId,
    options: isPlain
      ? undefined
      : {
          labels: Object.fromEntries(label),
          note,
          ...(retention === undefined ? {} : { retention: durationFromMs(retention) }),
        },
  };
}
