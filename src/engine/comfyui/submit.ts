import { ServiceError } from "../../domain/errors.ts";
import { type Answer, type ComfyUiClient, NoAnswerError, type Submission } from "./client.ts";
import { hasNodeErrors, noBackend, rejection } from "./failures.ts";
import { asObject, asString, isObject } from "./json-shape.ts";

/** What is known after a prompt was submitted, if it was not refused. */
export type SubmitOutcome =
  | { readonly type: "accepted" }
  /** Taken without some of its outputs; the rest is queued, and must be cancelled. */
  | { readonly type: "acceptedInPart"; readonly error: ServiceError }
  /** Queued under another id than ours, as servers before 0.3.45 do; must be cancelled. */
  | { readonly type: "renamed"; readonly promptId: string }
  /** Whether it was queued is not known: no answer came, or one that says nothing about it. */
  | { readonly type: "unknown"; readonly status: number | undefined };

/**
 * Submits a prompt once (comfyui-protocol § 1.2 and § 6).
 *
 * @throws ServiceError
 * - `WORKFLOW_REJECTED`: refused; `details.nodes` says where
 * - `NO_BACKEND`: no connection could be made, so that nothing was submitted
 * - `BACKEND_PROTOCOL`: whatever is at that address does not let us submit
 */
export async function submitPrompt(
  client: ComfyUiClient,
  submission: Submission,
  signal: AbortSignal,
): Promise<SubmitOutcome> {
  try {
    return judge(await client.submit(submission, signal), submission);
  } catch (error) {
    if (!(error instanceof NoAnswerError)) {
      throw error;
    }
    if (!error.sent) {
      throw noBackend(error);
    }
    return { type: "unknown", status: error.status };
  }
}

function judge({ status, body }: Answer, { promptId, graph }: Submission): SubmitOutcome {
  switch (status) {
    case 200:
      return judgeAccepted(body, promptId, graph);
    case 400:
      throw rejection(body, graph);
    case 413:
      throw new ServiceError("WORKFLOW_REJECTED", "the workflow is larger than the backend takes");
    case 401:
    case 403:
    case 404:
    case 405:
    case 407:
      throw new ServiceError(
        "BACKEND_PROTOCOL",
        `the backend refuses prompts with HTTP ${status}; check its address and credentials in the configuration`,
      );
    default:
      return { type: "unknown", status }; // a 500 too: a prompt may be queued all the same (comfyui-protocol, trap 2)
  }
}

function judgeAccepted(body: unknown, promptId: string, graph: Submission["graph"]): SubmitOutcome {
  const givenId = asString(asObject(body).prompt_id);
  if (!isObject(body) || givenId === undefined) {
    return { type: "unknown", status: 200 };
  }
  if (givenId !== promptId) {
    return { type: "renamed", promptId: givenId };
  }
  return hasNodeErrors(body)
    ? { type: "acceptedInPart", error: rejection(body, graph) }
    : { type: "accepted" };
}
