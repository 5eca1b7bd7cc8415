import { ImageFormat } from "../../../gen/comfyrpc/v1/generation_pb.js";
import { extensionOf } from "../image-format.ts";
import type { OutputTarget } from "../output-target.ts";
import { UsageError } from "../usage-error.ts";

/**
 * Makes sure that a file is not named after another format than its image has. A job without a format makes PNG.
 *
 * @throws UsageError if it is
 */
export function assertFormat(target: OutputTarget, format = ImageFormat.PNG): void {
  const made = format === ImageFormat.UNSPECIFIED ? ImageFormat.PNG : format;
  if (target.kind === "directory" || target.format === made) return;
  throw new UsageError(
    `--out: the job makes .${extensionOf(made)}, which a file named .${target.extension} would hide`,
  );
}
