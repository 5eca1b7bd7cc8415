/** What a caller wants of a job beside what it draws. */
export interface SubmitOptions {
  /** Makes the submission repeatable: see `Submission.request` of the job store. */
  readonly request?: {
    readonly id: string;
    /** Equal for equal requests of one method, and for no others. */
    readonly fingerprint: string;
  };
  readonly labels: Readonly<Record<string, string>>;
  readonly note: string;
  /** How long the job is kept after its end, in milliseconds. Default: that of the server. */
  readonly retentionMs?: number;
}
