/**
 * Something to wait at until it is rung or time is up. A ring that nobody waits for is kept for the next wait, so that
 * none is missed between two waits.
 */
export class Wakeup {
  #rung = false;
  #release: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#release?.();
  }

  /** Drops a ring that is kept. */
  clear(): void {
    this.#rung = false;
  }

  /** Waits for a ring, at most `timeoutMs`. Only one may wait at a time. */
  async wait(timeoutMs: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#release = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#release = undefined;
    }
    this.#rung = false;
  }
}
