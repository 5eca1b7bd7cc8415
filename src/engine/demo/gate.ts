/** Whether requests are let in, and how they are turned away if not. */
export class Gate {
  #closedUntilMs = 0;
  #how: "reset" | "unavailable" = "reset";

  /** Turns requests away for the next `forMs` milliseconds. */
  close(how: "reset" | "unavailable", forMs: number): void {
    this.#how = how;
    this.#closedUntilMs = performance.now() + forMs;
  }

  open(): void {
    this.#closedUntilMs = 0;
  }

  get state(): "open" | "reset" | "unavailable" {
    return performance.now() < this.#closedUntilMs ? this.#how : "open";
  }
}
