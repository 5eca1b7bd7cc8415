import { buffer } from "node:stream/consumers";
import { type Answer, type ComfyUiClient, type JobState, NoAnswerError, type Submission } from "../client.ts";
import type { PromptRecord } from "../record.ts";
import type { InputPlace, UploadContent } from "../upload-form.ts";

/** A client whose server does what a test sets, and that writes down what it is asked. */
export class ScriptedClient implements ComfyUiClient {
  /** What was asked, oldest first: `upload`, `submit`, `job`, `record`, `cancel`, `delete`, `interrupt`, `queue`. */
  readonly calls: string[] = [];
  readonly submissions: Submission[] = [];
  /** Where the prompt is; `absent` also after it has ended and its record was dropped. */
  state: JobState | "absent" = "absent";
  promptRecord: PromptRecord | undefined;
  /** Whether the server has the routes of `/api/jobs`. */
  jobsRoutes = true;
  /** Whether the server answers look-ups and cancels. */
  reachable = true;
  onSubmit: (submission: Submission) => Answer | Promise<Answer> = ({ promptId }) => {
    this.state = "pending";
    return { status: 200, body: { prompt_id: promptId, number: 1, node_errors: {} } };
  };
  /** What a cancel does, by whichever route. */
  onCancel: () => void = () => {
    this.state = "absent";
  };
  /** Files in the input directory, by subfolder, slash and name. */
  readonly inputs = new Map<string, Buffer>();
  onUpload: (place: InputPlace, content: UploadContent) => Promise<Answer> = async (place, { body }) => {
    this.inputs.set(`${place.subfolder}/${place.filename}`, await buffer(body));
    return { status: 200, body: { name: place.filename, subfolder: place.subfolder, type: "input" } };
  };
  /** Called before each look-up, to move the prompt on. */
  onLookUp: () => void = () => {};

  async submit(submission: Submission, _signal: AbortSignal): Promise<Answer> {
    this.calls.push("submit");
    this.submissions.push(submission);
    return await this.onSubmit(submission);
  }

  async job(): Promise<JobState | "absent" | "noRoute"> {
    this.#ask("job");
    if (!this.jobsRoutes) {
      return "noRoute";
    }
    this.onLookUp();
    return this.state;
  }

  async queue(): Promise<{ runningIds: readonly string[]; pendingIds: readonly string[] }> {
    this.#ask("queue");
    if (!this.jobsRoutes) {
      this.onLookUp();
    }
    const ids = this.submissions.map(({ promptId }) => promptId);
    return {
      runningIds: this.state === "running" ? ids : [],
      pendingIds: this.state === "pending" ? ids : [],
    };
  }

  async record(_promptId?: string, _signal?: AbortSignal): Promise<PromptRecord | undefined> {
    this.#ask("record");
    return this.promptRecord;
  }

  async cancelJob(): Promise<boolean | "noRoute"> {
    this.#ask("cancel");
    if (!this.jobsRoutes) {
      return "noRoute";
    }
    this.onCancel();
    return true;
  }

  async deletePending(): Promise<void> {
    this.#ask("delete");
    if (this.state === "pending") {
      this.onCancel();
    }
  }

  async interrupt(): Promise<void> {
    this.#ask("interrupt");
    this.onCancel();
  }

  async queueDepth(): Promise<number> {
    return 0;
  }

  async systemInfo(): Promise<{ version: string; builtIn: boolean }> {
    return { version: "0.33.0", builtIn: false };
  }

  async nodeClass(): Promise<unknown> {
    return undefined;
  }

  async nodeClasses(): Promise<string> {
    return "{}";
  }

  async embeddings(): Promise<readonly string[]> {
    return [];
  }

  async modelMetadata(): Promise<unknown> {
    return undefined;
  }

  async inputSize({ filename, subfolder }: InputPlace, _signal?: AbortSignal): Promise<number | undefined> {
    return this.inputs.get(`${subfolder}/${filename}`)?.length;
  }

  async uploadInput(place: InputPlace, content: UploadContent): Promise<Answer> {
    this.calls.push("upload");
    return await this.onUpload(place, content);
  }

  openFile(): never {
    throw new Error("no files here");
  }

  async free(): Promise<void> {}

  async deleteRecords(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  #ask(call: string): void {
    this.calls.push(call);
    if (!this.reachable) {
      throw new NoAnswerError("refused", { sent: false });
    }
  }
}
