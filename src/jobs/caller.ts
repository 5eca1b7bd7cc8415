/** Who calls. */
export interface Caller {
  /** Whose jobs and assets these are; empty as long as there is but one tenant. */
  readonly tenant: string;
  /** Under which the call is logged. */
  readonly requestId: string;
}
