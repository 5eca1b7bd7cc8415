import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type GenerateWithProgressRequest,
  type GenerateWithProgressResponse,
  GenerateWithProgressResponseSchema,
} from "../../../gen/comfyrpc/v1/image_service_pb.js";
import { callerOf } from "../caller-of.ts";
import { fromSpecMessage } from "../convert/spec.ts";
import { errorOfJob } from "../errors.ts";
import { submitOptionsOf } from "../submit-options-of.ts";
import { eventMessages } from "./event-messages.ts";
import type { GenerateDependencies } from "./generate.ts";
import { specOf } from "./required-spec.ts";
import { validated } from "./validated.ts";
import { waitingCallSignal, withJobId } from "./waiting-call.ts";

/** `ImageService.GenerateWithProgress`: submit, and pass on what happens; a failure becomes the status of the call. */
export function generateWithProgress({ jobs, blobs }: GenerateDependencies) {
  return async function* (
    request: GenerateWithProgressRequest,
    context: HandlerContext,
  ): AsyncGenerator<GenerateWithProgressResponse> {
    const spec = specOf(request);
    const signal = waitingCallSignal(spec, request, context);
    const caller = callerOf(context);
    const options = submitOptionsOf(request, context);
    if (request.validateOnly) {
      const response = await validated({ jobs }, fromSpecMessage(spec), request, context);
      yield create(GenerateWithProgressResponseSchema, response);
      return;
    }
    const job = await jobs.generate(fromSpecMessage(spec), options, caller, signal);
    try {
      for await (const event of jobs.follow(job, 0n, signal)) {
        if (event.data.type === "failed") {
          throw errorOfJob(job.id, event.data.failure);
        }
        for await (const message of eventMessages(job, event, { jobs, blobs }, caller, signal)) {
          yield create(GenerateWithProgressResponseSchema, { event: message });
        }
      }
    } catch (error) {
      throw withJobId(job.id, error);
    }
  };
}
